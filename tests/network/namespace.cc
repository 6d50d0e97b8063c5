#include "tests/network/namespace.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "storage/base/check.h"

namespace grapevine::network_test {
namespace {

// A thread leaves the process's namespace and hands back the one that it got; 0 or an errno.
int make(int& descriptor) {
  int error = 0;
  std::thread([&] {
    if (unshare(CLONE_NEWNET) == 0) {
      descriptor = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    }
    if (descriptor < 0) error = errno;
  }).join();
  return error;
}

// Empty: it is not there.
std::string path_of(const std::string& program) {
  for (const char* folder : {"/usr/sbin/", "/sbin/", "/usr/bin/", "/bin/"}) {
    if (access((folder + program).c_str(), X_OK) == 0) return folder + program;
  }
  return {};
}

}  // namespace

Namespace::Namespace() {
  const int error = make(descriptor_);
  GRAPEVINE_CHECK(error == 0, std::strerror(error));
  run({"ip", "link", "set", "lo", "up"});
}

Namespace::~Namespace() {
  close(descriptor_);
}

std::string Namespace::path() const {
  return fmt::format("/proc/{}/fd/{}", getpid(), descriptor_);
}

cluster_test::Finished Namespace::try_run(std::vector<std::string> command,
                                          std::string_view input) const {
  command.front() = path_of(command.front());
  return cluster_test::run(command, input, std::chrono::seconds(20), descriptor_);
}

std::string Namespace::run(std::vector<std::string> command, std::string_view input) const {
  const std::string text = fmt::format("{}\n{}", fmt::join(command, " "), input);
  cluster_test::Finished finished = try_run(std::move(command), input);
  GRAPEVINE_CHECK(
      finished.exit_code == 0,
      fmt::format("{}: exit code {}: {}", text, finished.exit_code, finished.err).c_str());
  return std::move(finished.out);
}

std::string missing_for_namespaces() {
  int descriptor = -1;
  const int error = make(descriptor);
  if (descriptor >= 0) close(descriptor);
  if (error == EPERM) {
    return "network namespaces need CAP_SYS_ADMIN: run as root, in a container with --privileged";
  }
  if (error != 0) {
    return fmt::format("no network namespaces: {}: needs a kernel with CONFIG_NET_NS",
                       std::strerror(error));
  }
  return missing_program("ip", "iproute2");
}

std::string missing_program(const std::string& name, const std::string& package) {
  if (!path_of(name).empty()) return {};
  return fmt::format("no program {}: apt-get install {} (tools/install_packages.sh does)", name,
                     package);
}

}  // namespace grapevine::network_test
