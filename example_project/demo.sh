#!/usr/bin/env bash
# One mart from nothing: load its seeds, score, show the first rows. Run by `make demo`.
#   USE=credit    another mart than churn: a folder of models/
#   NIGHT=2       then the night after it, on the same warehouse
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
sqlinfer=${SQLINFER:-sqlinfer}
use=${USE:-churn}
night=${NIGHT:-1}

case $use in
  churn) rows="select * from {{ ref('campaign_list') }} where call_order <= 2 order by churn_probability desc" ;;
  credit) rows="select * from {{ ref('credit_decisions') }} where decision <> 'approve' order by application_date desc, p_default desc" ;;
  segments) rows="select * from {{ ref('segment_drift') }} order by segment" ;;
  recommendations) rows="select * from {{ ref('recommendations') }} where place <= 4 order by viewer_id, place" ;;
  demand) rows="select * from {{ ref('replenishment') }} order by order_units desc" ;;
  documents) rows="select * from {{ ref('document_queue') }} order by document_id" ;;
  *)
    echo "USE=$use is none of: $(ls models | tr '\n' ' ')" >&2
    exit 2
    ;;
esac

work() { "$sqlinfer" run --select "path:models/$use" --vars "night: $1"; }

rm -rf target
"$sqlinfer" seed --select "+path:models/$use"
work 1
for ((next = 2; next <= night; next++)); do work "$next"; done
echo
"$sqlinfer" preview --quiet --vars "night: $night" --inline "$rows" --limit 8
echo
echo "Another: make demo USE=… with one of: $(ls models | grep -vx "$use" | tr '\n' ' ')(NIGHT=2: the night after)"
