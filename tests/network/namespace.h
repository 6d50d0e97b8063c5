// A network namespace: interfaces, addresses and packet filter of its own.
//
// It has no name, only a descriptor, and lives as long as that, or a process inside: when the test
// ends, however it ends, the kernel removes it with all that is in it. To look inside meanwhile:
// nsenter --net=/proc/PID/fd/DESCRIPTOR ip address
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tests/cluster/process.h"

namespace grapevine::network_test {

// Resource.
class Namespace {
 public:
  // Its loopback is up. REQUIRES: missing_for_namespaces() is empty.
  Namespace();
  ~Namespace();
  Namespace(const Namespace&) = delete;
  Namespace& operator=(const Namespace&) = delete;

  int descriptor() const { return descriptor_; }
  std::string path() const;
  // Runs ip, nft or tc inside; its error ends the test.
  std::string run(std::vector<std::string> command, std::string_view input = {}) const;
  cluster_test::Finished try_run(std::vector<std::string> command,
                                 std::string_view input = {}) const;

 private:
  int descriptor_ = -1;
};

// What this machine lacks, and how to get it; empty: nothing. Found out by trying.
std::string missing_for_namespaces();
std::string missing_program(const std::string& name, const std::string& package);

}  // namespace grapevine::network_test
