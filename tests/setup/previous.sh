# The release before this one: its functions share a table with this release's in the tests of upgrades, and its stack is deployed
# in those of roll-backs.

previous_commit=bb541068aa6603fcb4c63e8a10a2198d0b53e61e

build_previous() {
  export TOLLGATE_TEST_PREVIOUS=$tools/previous-$previous_commit
  [ ! -d "$TOLLGATE_TEST_PREVIOUS" ] || return 0
  if ! git cat-file -e "$previous_commit^{commit}" 2>/dev/null; then
    echo "test: commit $previous_commit is needed, of the release before this one; try 'git fetch --unshallow'" >&2
    exit 1
  fi
  local source=$tools/previous built=$tools/previous.new
  rm -rf "$source" "$built"
  mkdir -p "$source" "$built"
  git archive "$previous_commit" | tar -x -C "$source"
  # In the same target directory: dependencies that both share are built once. Under a version of its own, or cargo would take
  # the crates of one release for those of the other.
  sed -i 's/^version = "[0-9.]*"/&-previous/; s/"-previous/-previous"/' "$source/Cargo.toml"
  # Its lock file has to say the same, and then it holds: what was released is built with what it was released with.
  sed -i '/^name = "tollgate-/{n;s/"$/-previous"/;}' "$source/Cargo.lock"
  cargo build --quiet --locked --manifest-path "$source/Cargo.toml" --target-dir target \
    --package tollgate-authorizer --package tollgate-keys --package tollgate-sample
  cp target/debug/{authorizer,keys,sample} "$source/template.yaml" "$built"
  # Whole or not at all.
  mv "$built" "$TOLLGATE_TEST_PREVIOUS"
}
