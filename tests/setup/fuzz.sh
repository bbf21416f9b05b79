# Fuzzing, by cargo-fuzz. Its coverage needs only RUSTC_BOOTSTRAP on a stable toolchain; its sanitizers would need a nightly one, and
# the targets have no unsafe code to find faults in.

# fuzz [SECONDS]: runs each target for so long.
fuzz() {
  local seconds=${1:-60} target seeds failed=()
  export RUSTC_BOOTSTRAP=1
  command -v cargo-fuzz >/dev/null || step "install cargo-fuzz" cargo install --quiet --locked cargo-fuzz
  step "build the fuzz targets" cargo fuzz build --sanitizer none
  for target in $(cargo fuzz list); do
    case $target in
      event) seeds=events ;;
      *) seeds=fuzz/seeds/$target ;;
    esac
    mkdir -p "fuzz/corpus/$target"
    echo "test: fuzz $target for $seconds s"
    cargo fuzz run --sanitizer none "$target" "fuzz/corpus/$target" "$seeds" -- \
      -max_total_time="$seconds" -max_len=4096 -verbosity=0 -print_final_stats=1 || failed+=("$target")
  done
  [ ${#failed[@]} = 0 ] || {
    echo "test: found by: ${failed[*]}; see fuzz/artifacts" >&2
    return 1
  }
}
