// What clients and operators hold: Login hands out reader, writer and admin.
#pragma once

#include "rpc/network.h"
#include "server/wire.h"

namespace grapevine::server {

class Node;

// The bootstrap capability of a connection to the client port. `node` must outlive the connection.
wire::Login::Client make_login(Node& node, const rpc::PeerInfo& peer);

}  // namespace grapevine::server
