// What operators hold: the state of a node, and repair.
#pragma once

#include "server/wire.h"

namespace grapevine::server {

class Node;

wire::Admin::Client make_admin(Node& node);

}  // namespace grapevine::server
