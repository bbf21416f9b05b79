# Steps of `./test`: each says what it does, and how long that took.

# step WHAT COMMAND...
step() {
  local start=$SECONDS
  current=$1
  shift
  echo "test: $current"
  # By itself: in a condition, `set -e` would not hold in functions.
  "$@"
  echo "test: $current: $((SECONDS - start)) s"
  current=
}

# Of a run that ends: says in which step, and ends the servers that were started.
finish() {
  [ -z "${current:-}" ] || echo "test: $current: failed" >&2
  [ ${#started[@]} = 0 ] || kill "${started[@]}" 2>/dev/null || true
}

# run_tests LOG COMMAND...: runs a test command, and adds up the totals of its programs.
run_tests() {
  local log=$1 status=0
  shift
  "$@" 2>&1 | tee "$log" || status=$?
  awk '
    /^test result: / { passed += $4; failed += $6; ignored += $8; filtered += $12 }
    /^test .* \.\.\. FAILED$/ { names = names "\n  " $2 }
    END {
      printf "test: %d passed, %d failed, %d ignored, %d filtered out%s\n", passed, failed, ignored, filtered, names
    }' "$log"
  return "$status"
}
