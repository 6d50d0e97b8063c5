#include <fmt/format.h>
#include "tests/storage/scene.h"
namespace grapevine::storage {
TEST(Probe, X) {
  for (std::size_t size : {5'000, 20'000, 100'000, 300'000, 1'000'000}) for (std::size_t cache : {1, 4, 64}) {
    Scene scene;
    scene.options.block_cache_bytes = cache << 20;
    ASSERT_TRUE(ok(scene.open()));
    scene.put("k", std::string(size, 'v'));
    scene.cool_down();
    auto look = [&] { return scene.store().load("k", model::Values::kWith, Reach::kMemory).status(); };
    auto heads = [&] { return scene.store().load("k", model::Values::kWithout, Reach::kMemory).status(); };
    fmt::print("{} {} before {} ", size, cache, std::string(look().message()));
    scene.store().warm({"k"}, [&] { fmt::print("| in done {} heads {}", std::string(look().message()), std::string(heads().message())); });
    scene.executor.run_all();
    fmt::print("| after {}", std::string(look().message()));
    scene.load("k");
    fmt::print("| after load {}\n", std::string(look().message()));
  }
}
}
