// The README's example: put, get, and resolve what was written concurrently.
#include <grapevine/client.h>

#include <iostream>

int main() {
  auto client = grapevine::Client::connect({.endpoints = {"127.0.0.1:4740", "127.0.0.1:4750"}});
  if (!client.ok()) return std::cerr << client.status() << '\n', 3;
  if (auto put = (*client)->put("greeting", "hello"); !put.ok()) return std::cerr << put.status() << '\n', 5;
  auto found = (*client)->get("greeting");
  if (!found.ok()) return std::cerr << found.status() << '\n', 3;
  std::string merged;
  for (const auto& sibling : found->siblings) merged += sibling.value;  // more than one: written concurrently
  if (found->siblings.size() > 1) (*client)->put("greeting", merged, {.context = found->context}).IgnoreError();
  std::cout << merged << '\n';
}
