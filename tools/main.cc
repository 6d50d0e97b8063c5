#include "tools/command.h"

int main(int argc, char** argv) {
  return grapevine::tools::run(argc, argv);
}
