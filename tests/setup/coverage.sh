# The lines that tests cover, by cargo-llvm-cov.

# measure_coverage [ARGUMENT...]: arguments go to `cargo test`.
measure_coverage() {
  command -v cargo-llvm-cov >/dev/null || step "install cargo-llvm-cov" cargo install --quiet --locked cargo-llvm-cov
  # In the target folder that cargo-llvm-cov takes: the binaries that tests start are measured with them.
  step "run the tests" run_tests "$tools/coverage.log" cargo llvm-cov --no-report --workspace "$@"
  step "write target/coverage" cargo llvm-cov report --html --output-dir target/coverage
  cargo llvm-cov report
}
