#!/usr/bin/env bash
# Runs every differential against the reference implementations and prints one line for each; exit 1 if any failed.
#
#   tools/oracles/run_all.sh [BUILD_FOLDER] [NAME...]      default: build/release, all of them
#
# Needs .oracles (./dev setup --oracles) and a finished build. Random cases take a fresh seed, which is printed;
# BANTAM_SEED=N repeats one. Output goes to BUILD_FOLDER/oracles/NAME.log. check_formats.py is called by the formats
# tests (BANTAM_ORACLES=1).
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
build="${1:-build/release}"
shift || true
python=.oracles/bin/python
seed="${BANTAM_SEED:-$(date +%s)}"
shared="${BANTAM_SHARED:-../shared}"
logs="$build/oracles"
mkdir -p "$logs"
[ -x $python ] || { echo "no .oracles: run ./dev setup --oracles first" >&2; exit 1; }
echo "oracles: seed $seed, logs in $logs"

failed=0
summary=()

# check NAME NEEDS COMMAND...: NEEDS is a file or folder without which it is skipped.
check() {
  local name="$1" needs="$2" start=$SECONDS result
  shift 2
  if [ ${#wanted[@]} -gt 0 ] && [[ " ${wanted[*]} " != *" $name "* ]]; then return; fi
  if [ ! -e "$needs" ]; then
    summary+=("$(printf '%-16s skipped    %s is not here' "$name" "$needs")")
    return
  fi
  if "$@" >"$logs/$name.log" 2>&1; then result=passed; else result=FAILED; failed=1; fi
  summary+=("$(printf '%-16s %-8s %5d s  %s' "$name" "$result" $((SECONDS - start)) "$(tail -n 1 "$logs/$name.log" | cut -c1-80)")")
  echo "$name: $result after $((SECONDS - start)) s"
  if [ $result = FAILED ]; then tail -n 15 "$logs/$name.log" | sed 's/^/    /'; fi
}

wanted=("$@")
oracle() { echo "tools/oracles/$1.py"; }
check quant "$(oracle check_quant)" \
  $python "$(oracle check_quant)" --tool "$build/tests/quant/quant_tool" --seed "$((seed % 1000000))"
check unicode "$(oracle check_unicode)" $python "$(oracle check_unicode)" "$build/tests/text/tokenizer_tool"
check tokenizer "$shared/data/qwen3-tokenizer" \
  $python "$(oracle check_tokenizer)" "$build/tests/text/tokenizer_tool" 200000 "$seed"
check tokenizer_speed "$shared/data/qwen3-tokenizer" \
  $python "$(oracle tokenizer_speed)" "$build/tests/text/tokenizer_tool"
check templates "$shared/data" \
  $python "$(oracle check_templates)" --tool "$build/tests/text/template_tool" --count 20000 --seed "$seed"
check hub "$(oracle check_hub)" $python "$(oracle check_hub)" --bantam "$build/bantam"
check model "$(oracle check_model)" $python "$(oracle check_model)" --bantam "$build/bantam" --seed "$((seed % 1000000))"
check clients "$(oracle check_clients)" $python "$(oracle check_clients)" --bantam "$build/bantam"
check lm_eval "$(oracle check_lm_eval)" $python "$(oracle check_lm_eval)" --bantam "$build/bantam"

for script in tools/oracles/check_*.py; do
  case "$(basename "$script" .py)" in
    check_quant|check_unicode|check_tokenizer|check_templates|check_hub|check_model|check_clients|check_lm_eval|check_formats) ;;
    *) summary+=("$(printf '%-16s FAILED     run_all.sh does not run it' "$(basename "$script")")"); failed=1 ;;
  esac
done
printf '%s\n' "" "${summary[@]}"
exit $failed
