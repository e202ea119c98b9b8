-- How far tonight is from the first night: the population stability index, and what to do about it.
-- Below 0.1 nothing has happened; above 0.25 the segments no longer say what they said.
with compared as (
    select
        now.segment,
        first.shoppers as shoppers_at_first,
        now.shoppers,
        first.share as share_at_first,
        now.share,
        (now.share - first.share) * ln(now.share / first.share) as shift,
        now.mean_distance / first.mean_distance as spread
    from {{ ref('segment_sizes') }} as now
    inner join {{ ref('segment_sizes') }} as first on first.segment = now.segment and first.night = 1
    where now.night = {{ var('night') }}
)

select
    segment,
    shoppers_at_first,
    shoppers,
    share_at_first,
    share,
    shift,
    sum(shift) over () as stability_index,
    case
        when sum(shift) over () >= 0.25 or max(spread) over () >= 1.25 then 'train again'
        when sum(shift) over () >= 0.1 and share < share_at_first * 0.8 then 'ask why it shrinks'
        when sum(shift) over () >= 0.1 and share > share_at_first * 1.2 then 'ask why it grows'
        else 'leave'
    end as decision
from compared
