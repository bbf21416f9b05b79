# The authorizer of the release before this one, which shares a table with this one's in the tests of upgrades.

previous_commit=bb541068aa6603fcb4c63e8a10a2198d0b53e61e

build_previous() {
  export TOLLGATE_TEST_PREVIOUS_AUTHORIZER=$tools/authorizer-$previous_commit
  [ ! -x "$TOLLGATE_TEST_PREVIOUS_AUTHORIZER" ] || return 0
  if ! git cat-file -e "$previous_commit^{commit}" 2>/dev/null; then
    echo "test: commit $previous_commit is needed, of the release before this one; try 'git fetch --unshallow'" >&2
    exit 1
  fi
  echo "test: building the authorizer of the release before this one"
  rm -rf "$tools/previous"
  mkdir -p "$tools/previous"
  git archive "$previous_commit" | tar -x -C "$tools/previous"
  # In the same target directory: what both depend on is built once. Under a version of its own, or cargo would take the crates
  # of one release for those of the other.
  sed -i 's/^version = "[0-9.]*"/&-previous/; s/"-previous/-previous"/' "$tools/previous/Cargo.toml"
  cargo build --quiet --manifest-path "$tools/previous/Cargo.toml" --package tollgate-authorizer --target-dir target
  # Whole or not at all.
  cp target/debug/authorizer "$tools/authorizer.new"
  mv "$tools/authorizer.new" "$TOLLGATE_TEST_PREVIOUS_AUTHORIZER"
}
