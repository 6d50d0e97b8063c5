// Port: who owns what, and who answers, as the coordinator sees it.
#pragma once

#include <cstdint>
#include <vector>

#include "storage/base/ids.h"

namespace grapevine::server {

class Ring {
 public:
  virtual ~Ring() = default;
  virtual NodeId self() const = 0;
  // In order of preference; never empty. Valid until membership changes.
  virtual const std::vector<NodeId>& owners(PartitionId partition) const = 0;
  // True for self.
  virtual bool reachable(NodeId node) const = 0;
  // How busy a node says it is, in rough steps, so that what hardly differs is the same; 0: idle, or
  // it has not said.
  virtual std::uint32_t busy(NodeId node) const = 0;
};

}  // namespace grapevine::server
