// What other nodes hold: Greeting, and after a mutual hello the Peer.
#pragma once

#include "server/wire.h"

namespace grapevine::server {

class Node;

// The bootstrap capability of a connection to the peer port. `node` must outlive the connection.
wire::Greeting::Client make_greeting(Node& node);

}  // namespace grapevine::server
