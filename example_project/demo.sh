#!/usr/bin/env bash
# The churn job from nothing: load the seeds, score everyone, show the first rows. Run by `make demo`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
sqlinfer=${SQLINFER:-sqlinfer}

rm -rf target
"$sqlinfer" seed
"$sqlinfer" run
echo
"$sqlinfer" preview --quiet --inline \
  "select * from {{ ref('campaign_list') }} where call_order <= 2 order by churn_probability desc" --limit 8
