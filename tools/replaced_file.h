// A file that appears whole or not at all: written under another name beside it, and renamed at the
// end.
//
// Resource. Thread: its owner's.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>

#include "storage/base/status.h"

namespace grapevine::tools {

class ReplacedFile {
 public:
  // Creates PATH.partial. InvalidArgument that says why when that cannot be.
  static absl::StatusOr<ReplacedFile> create(const std::string& path);
  // Removes what was not committed.
  ~ReplacedFile();
  ReplacedFile(ReplacedFile&& other) noexcept;
  ReplacedFile& operator=(ReplacedFile&&) = delete;

  // A failure is told by commit.
  void write(std::string_view bytes) { std::fwrite(bytes.data(), 1, bytes.size(), file_); }
  // Makes it durable and gives it its name; replaces a file that is there. InvalidArgument: there
  // is no new file, and an old one is as it was.
  absl::Status commit();

 private:
  ReplacedFile(std::FILE* file, std::string path) : file_(file), path_(std::move(path)) {}
  std::string partial_path() const { return path_ + ".partial"; }

  std::FILE* file_;  // null: committed, failed or moved from
  std::string path_;
};

}  // namespace grapevine::tools
