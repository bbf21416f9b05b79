# The release before this one: its functions share a table with this release's in the tests of upgrades, and its stack is deployed
# in those of roll-backs.

previous_commit=bb541068aa6603fcb4c63e8a10a2198d0b53e61e

# Its functions, for the tests.
build_previous() {
  export TOLLGATE_TEST_PREVIOUS=$tools/previous-$previous_commit
  [ ! -d "$TOLLGATE_TEST_PREVIOUS" ] || return 0
  local source=$tools/previous built=$tools/previous.new
  unpack_previous "$source"
  rm -rf "$built"
  mkdir -p "$built"
  # In the same target directory: dependencies that both share are built once.
  cargo build --quiet --locked --manifest-path "$source/Cargo.toml" --target-dir target \
    --package tollgate-authorizer --package tollgate-keys --package tollgate-sample
  cp target/debug/{authorizer,keys,sample} "$source/template.yaml" "$built"
  # Whole or not at all.
  mv "$built" "$TOLLGATE_TEST_PREVIOUS"
}

# Its authorizer as it is deployed, for the benchmark.
build_previous_authorizer() {
  export TOLLGATE_BENCH_PREVIOUS=$tools/previous-authorizer-$previous_commit
  [ ! -e "$TOLLGATE_BENCH_PREVIOUS" ] || return 0
  local source=$tools/previous
  unpack_previous "$source"
  cargo build --release --locked --manifest-path "$source/Cargo.toml" --target-dir target --package tollgate-authorizer --bin authorizer
  mv target/release/authorizer "$TOLLGATE_BENCH_PREVIOUS"
}

unpack_previous() {
  local source=$1
  if ! git cat-file -e "$previous_commit^{commit}" 2>/dev/null; then
    echo "test: commit $previous_commit is needed, of the release before this one; try 'git fetch --unshallow'" >&2
    exit 1
  fi
  rm -rf "$source"
  mkdir -p "$source"
  git archive "$previous_commit" | tar -x -C "$source"
  # Under a version of its own, or cargo would take the crates of one release for those of the other.
  sed -i -E 's/^version = "([0-9.]*)"/version = "\1-previous"/; s/(version = "[0-9.]*)", path/\1-previous", path/' "$source/Cargo.toml"
  # Its lock file has to say the same, and then it holds: what was released is built with what it was released with.
  sed -i '/^name = "tollgate-/{n;s/"$/-previous"/;}' "$source/Cargo.lock"
}
