#!/usr/bin/env bash
# tools/demo.sh [--keep]: installs what is missing, builds, and runs the whole story on this machine's own Debian package
# index: three nodes, an import, a killed node, changes meanwhile, a cut with writes on both sides, and the proof that all
# replicas agree again. Stops everything it started, also on Ctrl-C; with --keep the cluster stays.
set -euo pipefail
cd "$(dirname "$0")/.."

keep=false
case "${1:-}" in
  '') ;;
  --keep) keep=true ;;
  *)
    echo "demo.sh: unknown argument '$1'; the only one is --keep" >&2
    exit 2
    ;;
esac

bin=$PWD/build/release/bin
dir=$(mktemp -d "${TMPDIR:-/tmp}/grapevine-demo-XXXXXX")
declare -A pids=()

stop_everything() {
  local pid
  for pid in "${pids[@]}"; do kill -CONT "$pid" 2> /dev/null && kill "$pid" 2> /dev/null; done
  for pid in "${pids[@]}"; do wait "$pid" 2> /dev/null || true; done
  rm -rf "$dir"
}
trap 'stop_everything' EXIT
trap 'echo; exit 130' INT TERM

say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
# Shows a command and runs it; whether its answer is yes or no does not matter here.
show() {
  local text='' word
  for word in "$@"; do
    [[ $word != *' '* ]] || word="'$word'"
    text+=" $word"
  done
  printf '$%s\n' "$text"
  "$@" || true
}
client() { printf '127.0.0.1:%d' $((4730 + $1 * 10)); }
peer() { printf '127.0.0.1:%d' $((4731 + $1 * 10)); }
grapevine() { "$bin/grapevine" "$@"; }

# start NODE [FLAGS...]: until it says that it takes requests.
start() {
  local n=$1
  shift
  : > "$dir/node$n.log"
  "$bin/grapevined" --name "node$n" --data-dir "$dir/node$n" --client-listen "$(client "$n")" \
    --peer-listen "$(peer "$n")" --http-listen "127.0.0.1:$((4732 + n * 10))" --join "$(peer 1),$(peer 2),$(peer 3)" \
    "$@" 2>> "$dir/node$n.log" &
  pids[$n]=$!
}
# await NODE TEXT [COUNT]: until its log has COUNT lines with TEXT.
await() {
  local tries=0
  until (($(grep -c -- "$2" "$dir/node$1.log") >= ${3:-1})); do
    if ! kill -0 "${pids[$1]}" 2> /dev/null || ((++tries > 300)); then
      cat "$dir/node$1.log" >&2
      exit 1
    fi
    sleep 0.1
  done
}
# The packages of apt's lists, as lines of JSON: name and control paragraph.
packages() {
  local lists
  lists=$(find /var/lib/apt/lists -maxdepth 1 -name '*_Packages*')
  if [[ -z $lists ]]; then
    local as_root=()
    ((EUID == 0)) || as_root=(sudo)
    "${as_root[@]}" apt-get update -qq
    lists=$(find /var/lib/apt/lists -maxdepth 1 -name '*_Packages*')
  fi
  # shellcheck disable=SC2086
  /usr/lib/apt/apt-helper cat-file $lists | awk -v RS= -v FS='\n' '
    /^Package: / {
      name = $1
      sub(/^Package: /, "", name)
      text = $0
      gsub(/\\/, "\\\\", text); gsub(/"/, "\\\"", text); gsub(/\t/, "\\t", text); gsub(/\n/, "\\n", text)
      if (!(name in seen)) printf "{\"key\":\"%s\",\"value\":\"%s\"}\n", name, text
      seen[name] = 1
    }'
}

tools/build.sh release grapevined grapevine
begin=$SECONDS

say 'Three nodes on this machine'
for n in 1 2 3; do start "$n"; done
for n in 1 2 3; do await "$n" ' info ready'; done
for n in 2 3; do await 1 "node node$n (.* is up"; done
export GRAPEVINE_ENDPOINTS
GRAPEVINE_ENDPOINTS=$(client 1),$(client 2),$(client 3)
show grapevine members

say "Debian's package index, imported: key = package, value = its control paragraph"
packages > "$dir/packages.jsonl"
show grapevine import "$dir/packages.jsonl"
printf '$ grapevine get bash | head -n 4\n'
grapevine get bash | head -n 4
show grapevine divergence

say 'kill -9 of node3; then change 3,000 packages, delete 2,000, add 1,000'
kill -9 "${pids[3]}"
wait "${pids[3]}" 2> /dev/null || true
unset 'pids[3]'
await 1 'node node3 (.* does not answer'
awk 'NR <= 3000 { sub(/"}$/, "\\nX-Demo: changed while node3 was down\"}"); print }' "$dir/packages.jsonl" > "$dir/changed.jsonl"
awk 'BEGIN { for (i = 1; i <= 1000; ++i) printf "{\"key\":\"demo-added-%d\",\"value\":\"new\"}\n", i }' > "$dir/added.jsonl"
awk -F'"' 'NR > 3000 && NR <= 5000 { print $4 }' "$dir/packages.jsonl" > "$dir/deleted"
deleted=$(tail -n 1 "$dir/deleted")
show grapevine import "$dir/changed.jsonl"
show grapevine import "$dir/added.jsonl"
echo "\$ xargs grapevine del < deleted"
xargs -n 2000 "$bin/grapevine" del < "$dir/deleted"

say 'node3 returns, pulling at most 1 MiB a second so that you can watch'
start 3 --sync-rate 1MiB
await 3 ' info ready'
show grapevine divergence --watch
printf '\nA package that was deleted while node3 was away, asked of node3 itself:\n'
show grapevine get "$deleted" --endpoints "$(client 3)" --consistency one

say 'A cut: node3 on one side, node1 and node2 on the other; both write the same key'
# The two sides are awake in turn, so nothing that one says reaches the other.
downs=$(grep -c 'does not answer' "$dir/node3.log" || true)
kill -STOP "${pids[1]}" "${pids[2]}"
await 3 'does not answer' $((downs + 2))
show grapevine put bash 'written at node3' --endpoints "$(client 3)" --consistency one
kill -STOP "${pids[3]}"
kill -CONT "${pids[1]}" "${pids[2]}"
await 1 'node node3 (.* does not answer' 2
show grapevine put bash 'written at node1' --endpoints "$(client 1)"

say 'The cut heals'
kill -CONT "${pids[3]}"
show grapevine divergence --watch
show grapevine get bash
context=$(grapevine get bash --json 2> /dev/null | sed 's/.*"context":"\([^"]*\)".*/\1/')
echo 'Resolved by a write that has seen both:'
show grapevine put bash 'node1 and node3 agree' --context "$context"
show grapevine get bash --endpoints "$(client 3)"

say 'All three replicas, exported'
for n in 1 2 3; do grapevine export "$dir/export$n.jsonl" --endpoints "$(client "$n")"; done
(cd "$dir" && show sha256sum export1.jsonl export2.jsonl export3.jsonl)
show grapevine status
show grapevine divergence

say "Done in $((SECONDS - begin)) seconds after the build"
if $keep; then
  trap - EXIT
  rm -f "$dir"/*.jsonl
  cat << END
The cluster stays. Use it:
  export GRAPEVINE_ENDPOINTS=$GRAPEVINE_ENDPOINTS
  $bin/grapevine status
Its data and logs are in $dir. Stop it:
  kill ${pids[*]}
END
fi
