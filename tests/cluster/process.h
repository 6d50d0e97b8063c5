// A program run by a test: started with arguments, its output read line by line, ended by its
// process id.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace grapevine::cluster_test {

// A program may be run in a network namespace, given as an open descriptor of it.
constexpr int kOwnNetwork = -1;  // that of the test

// Resource. The destructor kills it with -9 if it still runs. Lines are those of its standard
// error; a thread of its own reads them. Thread-safe.
class Process {
 public:
  explicit Process(const std::vector<std::string>& command, int network = kOwnNetwork);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void signal(int number) const;
  // Waits for its end; returns its exit code, or 128 + the signal that ended it.
  int wait();
  // False when the program ended, or the time was over, before such a line came. Looks at lines
  // already there, too.
  bool wait_for_line(std::string_view part, std::chrono::seconds at_most) const;
  // Until there are more lines than `count`, or the time is over.
  void wait_for_more_than(std::size_t count, std::chrono::seconds at_most) const;
  // Until nothing more will come, since it has ended; false: the time was over before.
  bool wait_for_end_of_log(std::chrono::seconds at_most) const;
  std::vector<std::string> lines() const;
  std::string log() const;  // all lines

 private:
  void read(int from);

  pid_t pid_ = 0;
  bool ended_ = false;
  int exit_code_ = 0;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::vector<std::string> lines_;  // guarded by mutex_
  bool closed_ = false;             // guarded by mutex_: nothing more will come
  std::thread reader_;
};

struct Finished {
  int exit_code = 0;
  std::string out;
  std::string err;
};
// Runs a program to its end; beyond `at_most` it is killed, and the exit code is 137.
Finished run(const std::vector<std::string>& command, std::string_view input = {},
             std::chrono::seconds at_most = std::chrono::seconds(60), int network = kOwnNetwork);

}  // namespace grapevine::cluster_test
