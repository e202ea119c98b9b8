-- Forecasts of days that have come: how far off each horizon was.
select
    forecasts.horizon,
    count(*) as days,
    sum(sales.units) as units,
    sum(abs(forecasts.units - sales.units)) / sum(sales.units) as error
from {{ ref('forecast_days') }} as forecasts
inner join {{ ref('stg_sales') }} as sales on sales.store_id = forecasts.store_id and sales.day = forecasts.day
group by forecasts.horizon
