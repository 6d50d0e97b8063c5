@0xc7d2d5f3b1a40e66;
# A small service for the tests of rpc/.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("grapevine::rpc::test");

interface Echo {
  echo @0 (data :Data) -> (data :Data);
  # Answers with what came.

  batch @1 (operations :List(Operation)) -> (values :List(Data));
  # Answers with the values of the operations.

  fail @2 (code :UInt16, text :Text) -> ();
  # Fails with this status.

  wait @3 () -> ();
  # Answers when the test lets it.

  produce @4 (size :UInt32) -> (data :Data);
  # Answers with this many bytes.
}

struct Operation {
  key @0 :Data;
  value @1 :Data;
}
