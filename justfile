# What there is to do here: `just`. The words that CI repeats.

@default:
    just --list --unsorted

# Start the webhook on https://127.0.0.1:8443 with a development certificate.
serve *options:
    cargo run --release -- serve {{ options }}

# All tests; those with a real API server only where KUBEBUILDER_ASSETS says where it is.
test *filter:
    cargo test {{ filter }}

# The tests with a real API server, which is downloaded (needs Go).
apiserver *filter:
    KUBEBUILDER_ASSETS="${KUBEBUILDER_ASSETS:-$(go run sigs.k8s.io/controller-runtime/tools/setup-envtest@v0.25.1 use 1.36 -p path)}" \
        cargo test --test apiserver {{ filter }}

# The tests with real pods, on the node of ../shared/rig, which is brought up and down again (needs root; README there).
node-test *filter:
    #!/usr/bin/env bash
    set -euo pipefail
    rig=../shared/rig
    "$rig/build"
    just image
    export PATH="${RIG_HOME:-$HOME/.cache/rig}/bin:$PATH" CARGO_TERM_COLOR=always
    environment=$("$rig/up")
    trap '"$rig/down"' EXIT
    eval "$environment"
    "$rig/load" target/podgraft.tar
    tests/node/images
    just node-test-here {{ filter }}

# The same on the cluster of $KUBECONFIG, which can pull the images or has them.
node-test-here *filter:
    # The scenarios mostly wait.
    PODGRAFT_NODE_TESTS=1 RUST_TEST_THREADS=12 cargo test --test node {{ filter }}

fmt:
    cargo fmt

lint:
    cargo fmt --check
    cargo clippy --locked --all-targets -- -D warnings

# Licences, sources, bans and, with a network, advisories (needs cargo-deny).
deny:
    cargo deny --locked check

# The release program with what requests take next to each other: target/profiled/build (how, and for which glibc, see deploy/profiled).
release:
    rustup component add llvm-tools
    deploy/profiled build --locked --release --bin podgraft

bench *filter:
    cargo bench --bench admission --bench templates -- {{ filter }}

# Instructions and allocations of a review, which repeat where times don't (needs valgrind).
instructions *filter:
    cargo bench --bench instructions -- {{ filter }}

# The release server over HTTPS beside an echo: requests, handshakes, start-up, memory (docs/performance.md).
load *part:
    deploy/profiled bench --bench load -- {{ part }}

# What podgraft adds to the creation of a pod on a real API server, beside MutatingAdmissionPolicies.
load-apiserver:
    DISABLE_HTTP2=1 KUBEBUILDER_ASSETS="${KUBEBUILDER_ASSETS:-$(go run sigs.k8s.io/controller-runtime/tools/setup-envtest@v0.25.1 use 1.36 -p path)}" \
        deploy/profiled bench --bench creation

# How long a change among 10,000 templates of the cluster takes to be in force, in a release build.
many-templates:
    cargo build --locked --release
    PODGRAFT_TEST_TEMPLATES=10000 PODGRAFT_TEST_PROGRAM="${CARGO_TARGET_DIR:-$PWD/target}/release/podgraft" just apiserver many

# Bytes from nowhere into every door, so many seconds each (needs cargo-fuzz and a nightly toolchain; finds stay in fuzz/artifacts).
fuzz seconds="60" *targets="review annotations template expression manifest handshake":
    #!/usr/bin/env bash
    set -euo pipefail
    cd fuzz
    for target in {{ targets }}; do
        # Without a sanitizer, as there is no unsafe code of ours; with overflow checks. What is new goes where git does not look.
        mkdir -p "target/corpus/$target"
        cargo +nightly fuzz run -s none -a "$target" "target/corpus/$target" "corpus/$target" -- \
            -max_total_time={{ seconds }} -timeout=10 -rss_limit_mb=2048 -max_len=16384 -dict=dictionaries/words -print_final_stats=1
    done

# The release server at half of its capacity, for so long, with templates and certificates that change: memory and files
# stay flat, no request fails.
soak minutes="30":
    deploy/profiled bench --bench soak -- --minutes {{ minutes }}

# The container image, without a container engine, as target/podgraft.tar (needs rustup, musl-gcc and Python 3.11).
image:
    rustup target add x86_64-unknown-linux-musl
    CARGO_BUILD_TARGET=x86_64-unknown-linux-musl just release
    deploy/image "${CARGO_TARGET_DIR:-target}/profiled/build/x86_64-unknown-linux-musl/release/podgraft" target/podgraft.tar

# What is written from elsewhere: manifests from the chart (needs Helm), the references of commands and templates.
render:
    PODGRAFT_UPDATE=1 cargo test --test it up_to_date

# What must pass before a change is merged.
ci:
    CI=true bash .ci/run
