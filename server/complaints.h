// What is said once in a while, though it happens again and again.
#pragma once

#include <map>
#include <string>

#include "storage/base/time.h"

namespace grapevine::server {

// Value. Bounds: kTextsMax texts; beyond, all are forgotten.
class Complaints {
 public:
  static constexpr Duration kPause = std::chrono::seconds(30);
  static constexpr std::size_t kTextsMax = 64;

  // Whether it was not said within kPause.
  bool worth_saying(const std::string& text, Instant now) {
    const auto said = said_.find(text);
    if (said != said_.end() && now - said->second < kPause) return false;
    if (said_.size() >= kTextsMax) said_.clear();
    said_[text] = now;
    return true;
  }

 private:
  std::map<std::string, Instant> said_;
};

}  // namespace grapevine::server
