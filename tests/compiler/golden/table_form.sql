-- select * from predict('spend', (select order_id, amount as charges from orders))

-- duckdb: s1
SELECT
  "_input"."order_id" AS "order_id",
  "_input"."charges" AS "charges",
  CASE
    WHEN NOT "_input"."charges" IS NULL
    THEN CAST(HASH("_input"."charges" + CAST(0 AS DOUBLE)) AS UINT128) * 18446744073709551616 + HASH(
      XOR(HASH("_input"."charges" + CAST(0 AS DOUBLE)), CAST(6983438112510666596 AS UBIGINT))
    )
  END AS "_p1_key"
FROM (
  SELECT
    "orders"."order_id" AS "order_id",
    "orders"."amount" AS "charges"
  FROM "warehouse"."shop"."orders" AS "orders"
) AS "_input";

-- duckdb: result
SELECT
  "_s1"."order_id" AS "order_id",
  "_s1"."charges" AS "charges",
  "_s1"."_p1" AS "spend"
FROM "sqlinfer_side"."stage"."table_form__s1_scored" AS "_s1";

-- postgres: s1
SELECT
  "_input"."order_id" AS "order_id",
  "_input"."charges" AS "charges",
  CASE
    WHEN NOT "_input"."charges" IS NULL
    THEN CAST(ENCODE(
      INT8SEND(HASHFLOAT8EXTENDED("_input"."charges", 2685821657736338717)) || INT8SEND(HASHFLOAT8EXTENDED("_input"."charges", 1946526487930394057)),
      'hex'
    ) AS UUID)
  END AS "_p1_key"
FROM (
  SELECT
    "orders"."order_id" AS "order_id",
    "orders"."amount" AS "charges"
  FROM "warehouse"."shop"."orders" AS "orders"
) AS "_input";

-- postgres: result
SELECT
  "_s1"."order_id" AS "order_id",
  "_s1"."charges" AS "charges",
  "_s1"."_p1" AS "spend"
FROM "sqlinfer_side"."stage"."table_form__s1_scored" AS "_s1";

-- spark: s1
SELECT
  `_input`.`order_id` AS `order_id`,
  `_input`.`charges` AS `charges`,
  CASE
    WHEN NOT `_input`.`charges` IS NULL
    THEN LPAD(HEX(XXHASH64(`_input`.`charges`)), 16, '0') || LPAD(HEX(XXHASH64(1946526487930394057, `_input`.`charges`)), 16, '0')
  END AS `_p1_key`
FROM (
  SELECT
    `orders`.`order_id` AS `order_id`,
    `orders`.`amount` AS `charges`
  FROM `warehouse`.`shop`.`orders` AS `orders`
) AS `_input`;

-- spark: result
SELECT
  `_s1`.`order_id` AS `order_id`,
  `_s1`.`charges` AS `charges`,
  `_s1`.`_p1` AS `spend`
FROM `sqlinfer_side`.`stage`.`table_form__s1_scored` AS `_s1`;

-- databricks: s1
SELECT
  `_input`.`order_id` AS `order_id`,
  `_input`.`charges` AS `charges`,
  CASE
    WHEN NOT `_input`.`charges` IS NULL
    THEN MD5(
      CAST(LENGTH(CAST(`_input`.`charges` + CAST(0 AS DOUBLE) AS STRING)) AS STRING) || ':' || CAST(`_input`.`charges` + CAST(0 AS DOUBLE) AS STRING)
    )
  END AS `_p1_key`
FROM (
  SELECT
    `orders`.`order_id` AS `order_id`,
    `orders`.`amount` AS `charges`
  FROM `warehouse`.`shop`.`orders` AS `orders`
) AS `_input`;

-- databricks: result
SELECT
  `_s1`.`order_id` AS `order_id`,
  `_s1`.`charges` AS `charges`,
  `_s1`.`_p1` AS `spend`
FROM `sqlinfer_side`.`stage`.`table_form__s1_scored` AS `_s1`;

-- snowflake: s1
SELECT
  "_INPUT"."ORDER_ID" AS "ORDER_ID",
  "_INPUT"."CHARGES" AS "CHARGES",
  CASE
    WHEN NOT "_INPUT"."CHARGES" IS NULL
    THEN MD5(
      CAST(LENGTH(CAST("_INPUT"."CHARGES" + CAST(0 AS DOUBLE) AS VARCHAR)) AS VARCHAR) || ':' || CAST("_INPUT"."CHARGES" + CAST(0 AS DOUBLE) AS VARCHAR)
    )
  END AS "_p1_key"
FROM (
  SELECT
    "ORDERS"."ORDER_ID" AS "ORDER_ID",
    "ORDERS"."AMOUNT" AS "CHARGES"
  FROM "WAREHOUSE"."SHOP"."ORDERS" AS "ORDERS"
) AS "_INPUT";

-- snowflake: result
SELECT
  "_s1"."ORDER_ID" AS "ORDER_ID",
  "_s1"."CHARGES" AS "CHARGES",
  "_s1"."_p1" AS "SPEND"
FROM "sqlinfer_side"."stage"."table_form__s1_scored" AS "_s1";

-- bigquery: s1
SELECT
  `_input`.`order_id` AS `order_id`,
  `_input`.`charges` AS `charges`,
  CASE
    WHEN NOT `_input`.`charges` IS NULL
    THEN TO_HEX(
      MD5(
        CAST(LENGTH(CAST(`_input`.`charges` + CAST(0 AS FLOAT64) AS STRING)) AS STRING) || ':' || CAST(`_input`.`charges` + CAST(0 AS FLOAT64) AS STRING)
      )
    )
  END AS `_p1_key`
FROM (
  SELECT
    `orders`.`order_id` AS `order_id`,
    `orders`.`amount` AS `charges`
  FROM `warehouse`.`shop`.`orders` AS `orders`
) AS `_input`;

-- bigquery: result
SELECT
  `_s1`.`order_id` AS `order_id`,
  `_s1`.`charges` AS `charges`,
  `_s1`.`_p1` AS `spend`
FROM `sqlinfer_side`.`stage`.`table_form__s1_scored` AS `_s1`;

-- redshift: s1
SELECT
  "_input"."order_id" AS "order_id",
  "_input"."charges" AS "charges",
  CASE
    WHEN NOT "_input"."charges" IS NULL
    THEN MD5(
      CAST(LENGTH(CAST("_input"."charges" + CAST(0 AS DOUBLE PRECISION) AS VARCHAR(MAX))) AS VARCHAR(MAX)) || ':' || CAST("_input"."charges" + CAST(0 AS DOUBLE PRECISION) AS VARCHAR(MAX))
    )
  END AS "_p1_key"
FROM (
  SELECT
    "orders"."order_id" AS "order_id",
    "orders"."amount" AS "charges"
  FROM "warehouse"."shop"."orders" AS "orders"
) AS "_input";

-- redshift: result
SELECT
  "_s1"."order_id" AS "order_id",
  "_s1"."charges" AS "charges",
  "_s1"."_p1" AS "spend"
FROM "sqlinfer_side"."stage"."table_form__s1_scored" AS "_s1";
