#!/usr/bin/env bash
# Runs the test suite on the oldest versions that the package promises to work with, and on the
# newest, each in an environment of its own.
#
#     tests/run_versions.sh [floor|newest] [pytest arguments]
set -euo pipefail
cd "$(dirname "$0")/.."

floor=(
    "tensorflow==2.19.*" "keras==3.10.*" "numpy==2.0.*" "matplotlib==3.9.*" "scikit-learn==1.6.*"
)
newest=(tensorflow keras numpy matplotlib scikit-learn)

run() {
    local name=$1
    shift
    local -n versions=$name
    local folder
    folder=$(mktemp -d)
    python3 -m venv "$folder/venv"
    "$folder/venv/bin/pip" install -qq --upgrade pip
    "$folder/venv/bin/pip" install -qq --upgrade "${versions[@]}" -e ".[test]"
    echo "== $name: $("$folder/venv/bin/python" --version), $(
        "$folder/venv/bin/pip" list --format=freeze 2>/dev/null |
            grep -E '^(tensorflow|keras|numpy|matplotlib|scikit-learn)==' | paste -sd ' '
    )"
    TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" -m pytest "$@"
    rm -rf "$folder"
}

case "${1:-both}" in
    floor | newest) run "$@" ;;
    *)
        # On lines of their own: behind "&&" a failure inside the first would not end the script.
        run floor "$@"
        run newest "$@"
        ;;
esac
