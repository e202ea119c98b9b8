-- select c.id, o.order_id from customers as c left join orders as o on o.customer_id = c.id and predict('spend', o.amount) > c.charges

-- duckdb: s1
SELECT
  "c"."id" AS "c1",
  "c"."charges" AS "c2",
  ROW_NUMBER() OVER () AS "_row"
FROM "warehouse"."shop"."customers" AS "c";

-- duckdb: s2
SELECT
  "o"."order_id" AS "c1",
  "o"."customer_id" AS "c2",
  "o"."amount" AS "c3",
  ROW_NUMBER() OVER () AS "_row"
FROM "warehouse"."shop"."orders" AS "o";

-- duckdb: s3
SELECT
  "_row",
  "r4__row_2",
  "c2",
  "_p1_charges",
  "_p1_status",
  CASE
    WHEN NOT "_p1_charges" IS NULL
    THEN CAST(HASH("_p1_charges" + CAST(0 AS DOUBLE)) AS UINT128) * 18446744073709551616 + HASH(
      XOR(HASH("_p1_charges" + CAST(0 AS DOUBLE)), CAST(6983438112510666596 AS UBIGINT))
    )
  END AS "_p1_key"
FROM (
  SELECT
    "_row",
    "r4__row_2",
    "c2",
    CASE
      WHEN NOT (
        NOT "_p1_charges_raw" IS NULL
        AND (
          CASE WHEN regexp_extract(typeof("_p1_charges_raw"), '^\w+') IN ('BIGNUM') THEN TRY_CAST(CAST("_p1_charges_raw" AS TEXT) AS DOUBLE) ELSE TRY_CAST("_p1_charges_raw" AS DOUBLE) END IS NULL
          OR CASE WHEN regexp_extract(typeof("_p1_charges_raw"), '^\w+') IN ('BIGINT', 'UBIGINT') THEN TRY_CAST("_p1_charges_raw" AS INT128) <> TRY_CAST(TRY_CAST("_p1_charges_raw" AS DOUBLE) AS INT128) WHEN regexp_extract(typeof("_p1_charges_raw"), '^\w+') IN ('HUGEINT') THEN TRY_CAST("_p1_charges_raw" AS INT128) IS DISTINCT FROM TRY_CAST(TRY_CAST("_p1_charges_raw" AS DOUBLE) AS INT128) WHEN regexp_extract(typeof("_p1_charges_raw"), '^\w+') IN ('UHUGEINT') THEN TRY_CAST("_p1_charges_raw" AS UINT128) IS DISTINCT FROM TRY_CAST(TRY_CAST("_p1_charges_raw" AS DOUBLE) AS UINT128) WHEN regexp_extract(typeof("_p1_charges_raw"), '^\w+') IN ('BIGNUM') THEN CAST("_p1_charges_raw" AS TEXT) <> CAST(CAST(TRY_CAST(CAST("_p1_charges_raw" AS TEXT) AS DOUBLE) AS BIGNUM) AS TEXT) ELSE FALSE END
        )
      )
      THEN CASE WHEN regexp_extract(typeof("_p1_charges_raw"), '^\w+') IN ('BIGNUM') THEN TRY_CAST(CAST("_p1_charges_raw" AS TEXT) AS DOUBLE) ELSE TRY_CAST("_p1_charges_raw" AS DOUBLE) END
    END AS "_p1_charges",
    CASE
      WHEN NOT "_p1_charges_raw" IS NULL
      AND (
        CASE WHEN regexp_extract(typeof("_p1_charges_raw"), '^\w+') IN ('BIGNUM') THEN TRY_CAST(CAST("_p1_charges_raw" AS TEXT) AS DOUBLE) ELSE TRY_CAST("_p1_charges_raw" AS DOUBLE) END IS NULL
        OR CASE WHEN regexp_extract(typeof("_p1_charges_raw"), '^\w+') IN ('BIGINT', 'UBIGINT') THEN TRY_CAST("_p1_charges_raw" AS INT128) <> TRY_CAST(TRY_CAST("_p1_charges_raw" AS DOUBLE) AS INT128) WHEN regexp_extract(typeof("_p1_charges_raw"), '^\w+') IN ('HUGEINT') THEN TRY_CAST("_p1_charges_raw" AS INT128) IS DISTINCT FROM TRY_CAST(TRY_CAST("_p1_charges_raw" AS DOUBLE) AS INT128) WHEN regexp_extract(typeof("_p1_charges_raw"), '^\w+') IN ('UHUGEINT') THEN TRY_CAST("_p1_charges_raw" AS UINT128) IS DISTINCT FROM TRY_CAST(TRY_CAST("_p1_charges_raw" AS DOUBLE) AS UINT128) WHEN regexp_extract(typeof("_p1_charges_raw"), '^\w+') IN ('BIGNUM') THEN CAST("_p1_charges_raw" AS TEXT) <> CAST(CAST(TRY_CAST(CAST("_p1_charges_raw" AS TEXT) AS DOUBLE) AS BIGNUM) AS TEXT) ELSE FALSE END
      )
      THEN 'cast_error:charges'
      WHEN CASE
        WHEN NOT (
          NOT "_p1_charges_raw" IS NULL
          AND (
            CASE WHEN regexp_extract(typeof("_p1_charges_raw"), '^\w+') IN ('BIGNUM') THEN TRY_CAST(CAST("_p1_charges_raw" AS TEXT) AS DOUBLE) ELSE TRY_CAST("_p1_charges_raw" AS DOUBLE) END IS NULL
            OR CASE WHEN regexp_extract(typeof("_p1_charges_raw"), '^\w+') IN ('BIGINT', 'UBIGINT') THEN TRY_CAST("_p1_charges_raw" AS INT128) <> TRY_CAST(TRY_CAST("_p1_charges_raw" AS DOUBLE) AS INT128) WHEN regexp_extract(typeof("_p1_charges_raw"), '^\w+') IN ('HUGEINT') THEN TRY_CAST("_p1_charges_raw" AS INT128) IS DISTINCT FROM TRY_CAST(TRY_CAST("_p1_charges_raw" AS DOUBLE) AS INT128) WHEN regexp_extract(typeof("_p1_charges_raw"), '^\w+') IN ('UHUGEINT') THEN TRY_CAST("_p1_charges_raw" AS UINT128) IS DISTINCT FROM TRY_CAST(TRY_CAST("_p1_charges_raw" AS DOUBLE) AS UINT128) WHEN regexp_extract(typeof("_p1_charges_raw"), '^\w+') IN ('BIGNUM') THEN CAST("_p1_charges_raw" AS TEXT) <> CAST(CAST(TRY_CAST(CAST("_p1_charges_raw" AS TEXT) AS DOUBLE) AS BIGNUM) AS TEXT) ELSE FALSE END
          )
        )
        THEN CASE WHEN regexp_extract(typeof("_p1_charges_raw"), '^\w+') IN ('BIGNUM') THEN TRY_CAST(CAST("_p1_charges_raw" AS TEXT) AS DOUBLE) ELSE TRY_CAST("_p1_charges_raw" AS DOUBLE) END
      END IS NULL
      THEN 'null_input'
    END AS "_p1_status"
  FROM (
    SELECT
      "_l3"."_row" AS "_row",
      "_r4"."_row" AS "r4__row_2",
      "_l3"."c2" AS "c2",
      "_r4"."c3" AS "_p1_charges_raw"
    FROM "sqlinfer_side"."stage"."left_join__s1" AS "_l3"
    JOIN "sqlinfer_side"."stage"."left_join__s2" AS "_r4"
      ON "_r4"."c2" = "_l3"."c1"
  ) AS "_raw"
) AS "_cast";

-- duckdb: result
SELECT
  "_j1"."c1" AS "id",
  "_j2"."c1" AS "order_id"
FROM "sqlinfer_side"."stage"."left_join__s1" AS "_j1"
LEFT JOIN (
  SELECT
    "_s6"."_row" AS "_left",
    "_s6"."r4__row_2" AS "_right"
  FROM "sqlinfer_side"."stage"."left_join__s3_scored" AS "_s6"
  WHERE
    "_s6"."_p1" > "_s6"."c2"
) AS "_m5"
  ON "_j1"."_row" = "_m5"."_left"
LEFT JOIN "sqlinfer_side"."stage"."left_join__s2" AS "_j2"
  ON "_m5"."_right" = "_j2"."_row";

-- postgres: s1
SELECT
  "c"."id" AS "c1",
  "c"."charges" AS "c2",
  ROW_NUMBER() OVER () AS "_row"
FROM "warehouse"."shop"."customers" AS "c";

-- postgres: s2
SELECT
  "o"."order_id" AS "c1",
  "o"."customer_id" AS "c2",
  "o"."amount" AS "c3",
  ROW_NUMBER() OVER () AS "_row"
FROM "warehouse"."shop"."orders" AS "o";

-- postgres: s3
SELECT
  "_row",
  "r4__row_2",
  "c2",
  "_p1_charges",
  "_p1_status",
  CASE
    WHEN NOT "_p1_charges" IS NULL
    THEN CAST(ENCODE(
      INT8SEND(HASHFLOAT8EXTENDED("_p1_charges", 2685821657736338717)) || INT8SEND(HASHFLOAT8EXTENDED("_p1_charges", 1946526487930394057)),
      'hex'
    ) AS UUID)
  END AS "_p1_key"
FROM (
  SELECT
    "_row",
    "r4__row_2",
    "c2",
    CASE
      WHEN CAST("_p1_charges_raw" AS TEXT) ~* '^\s*([+-]?(\d{1,200}(\.\d{0,200})?|\.\d{1,200})([eE][+-]?\d{1,2})?|[+-]?(inf|infinity|nan))\s*$'
      THEN CAST(CAST("_p1_charges_raw" AS TEXT) AS DOUBLE PRECISION)
    END AS "_p1_charges",
    CASE
      WHEN NOT "_p1_charges_raw" IS NULL
      AND CASE
        WHEN CAST("_p1_charges_raw" AS TEXT) ~* '^\s*([+-]?(\d{1,200}(\.\d{0,200})?|\.\d{1,200})([eE][+-]?\d{1,2})?|[+-]?(inf|infinity|nan))\s*$'
        THEN CAST(CAST("_p1_charges_raw" AS TEXT) AS DOUBLE PRECISION)
      END IS NULL
      THEN 'cast_error:charges'
      WHEN CASE
        WHEN CAST("_p1_charges_raw" AS TEXT) ~* '^\s*([+-]?(\d{1,200}(\.\d{0,200})?|\.\d{1,200})([eE][+-]?\d{1,2})?|[+-]?(inf|infinity|nan))\s*$'
        THEN CAST(CAST("_p1_charges_raw" AS TEXT) AS DOUBLE PRECISION)
      END IS NULL
      THEN 'null_input'
    END AS "_p1_status"
  FROM (
    SELECT
      "_l3"."_row" AS "_row",
      "_r4"."_row" AS "r4__row_2",
      "_l3"."c2" AS "c2",
      "_r4"."c3" AS "_p1_charges_raw"
    FROM "sqlinfer_side"."stage"."left_join__s1" AS "_l3"
    JOIN "sqlinfer_side"."stage"."left_join__s2" AS "_r4"
      ON "_r4"."c2" = "_l3"."c1"
  ) AS "_raw"
) AS "_cast";

-- postgres: result
SELECT
  "_j1"."c1" AS "id",
  "_j2"."c1" AS "order_id"
FROM "sqlinfer_side"."stage"."left_join__s1" AS "_j1"
LEFT JOIN (
  SELECT
    "_s6"."_row" AS "_left",
    "_s6"."r4__row_2" AS "_right"
  FROM "sqlinfer_side"."stage"."left_join__s3_scored" AS "_s6"
  WHERE
    "_s6"."_p1" > "_s6"."c2"
) AS "_m5"
  ON "_j1"."_row" = "_m5"."_left"
LEFT JOIN "sqlinfer_side"."stage"."left_join__s2" AS "_j2"
  ON "_m5"."_right" = "_j2"."_row";

-- spark: s1
SELECT
  `c`.`id` AS `c1`,
  `c`.`charges` AS `c2`,
  ROW_NUMBER() OVER (ORDER BY NULL) AS `_row`
FROM `warehouse`.`shop`.`customers` AS `c`;

-- spark: s2
SELECT
  `o`.`order_id` AS `c1`,
  `o`.`customer_id` AS `c2`,
  `o`.`amount` AS `c3`,
  ROW_NUMBER() OVER (ORDER BY NULL) AS `_row`
FROM `warehouse`.`shop`.`orders` AS `o`;

-- spark: s3
SELECT
  `_row`,
  `r4__row_2`,
  `c2`,
  `_p1_charges`,
  `_p1_status`,
  CASE
    WHEN NOT `_p1_charges` IS NULL
    THEN LPAD(HEX(XXHASH64(`_p1_charges`)), 16, '0') || LPAD(HEX(XXHASH64(1946526487930394057, `_p1_charges`)), 16, '0')
  END AS `_p1_key`
FROM (
  SELECT
    `_row`,
    `r4__row_2`,
    `c2`,
    CASE
      WHEN (
        CAST(`_p1_charges_raw` AS STRING) RLIKE '^\\s*[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]+)?\\s*$'
        AND ABS(TRY_CAST(CAST(`_p1_charges_raw` AS STRING) AS DOUBLE)) < CAST('inf' AS DOUBLE)
      )
      OR CAST(`_p1_charges_raw` AS STRING) RLIKE '^\\s*([+-]?(?i:inf|infinity)|(?i:nan))\\s*$'
      THEN TRY_CAST(CAST(`_p1_charges_raw` AS STRING) AS DOUBLE)
    END AS `_p1_charges`,
    CASE
      WHEN NOT `_p1_charges_raw` IS NULL
      AND CASE
        WHEN (
          CAST(`_p1_charges_raw` AS STRING) RLIKE '^\\s*[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]+)?\\s*$'
          AND ABS(TRY_CAST(CAST(`_p1_charges_raw` AS STRING) AS DOUBLE)) < CAST('inf' AS DOUBLE)
        )
        OR CAST(`_p1_charges_raw` AS STRING) RLIKE '^\\s*([+-]?(?i:inf|infinity)|(?i:nan))\\s*$'
        THEN TRY_CAST(CAST(`_p1_charges_raw` AS STRING) AS DOUBLE)
      END IS NULL
      THEN 'cast_error:charges'
      WHEN CASE
        WHEN (
          CAST(`_p1_charges_raw` AS STRING) RLIKE '^\\s*[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]+)?\\s*$'
          AND ABS(TRY_CAST(CAST(`_p1_charges_raw` AS STRING) AS DOUBLE)) < CAST('inf' AS DOUBLE)
        )
        OR CAST(`_p1_charges_raw` AS STRING) RLIKE '^\\s*([+-]?(?i:inf|infinity)|(?i:nan))\\s*$'
        THEN TRY_CAST(CAST(`_p1_charges_raw` AS STRING) AS DOUBLE)
      END IS NULL
      THEN 'null_input'
    END AS `_p1_status`
  FROM (
    SELECT
      `_l3`.`_row` AS `_row`,
      `_r4`.`_row` AS `r4__row_2`,
      `_l3`.`c2` AS `c2`,
      `_r4`.`c3` AS `_p1_charges_raw`
    FROM `sqlinfer_side`.`stage`.`left_join__s1` AS `_l3`
    JOIN `sqlinfer_side`.`stage`.`left_join__s2` AS `_r4`
      ON `_r4`.`c2` = `_l3`.`c1`
  ) AS `_raw`
) AS `_cast`;

-- spark: result
SELECT
  `_j1`.`c1` AS `id`,
  `_j2`.`c1` AS `order_id`
FROM `sqlinfer_side`.`stage`.`left_join__s1` AS `_j1`
LEFT JOIN (
  SELECT
    `_s6`.`_row` AS `_left`,
    `_s6`.`r4__row_2` AS `_right`
  FROM `sqlinfer_side`.`stage`.`left_join__s3_scored` AS `_s6`
  WHERE
    `_s6`.`_p1` > `_s6`.`c2`
) AS `_m5`
  ON `_j1`.`_row` = `_m5`.`_left`
LEFT JOIN `sqlinfer_side`.`stage`.`left_join__s2` AS `_j2`
  ON `_m5`.`_right` = `_j2`.`_row`;

-- databricks: s1
SELECT
  `c`.`id` AS `c1`,
  `c`.`charges` AS `c2`,
  ROW_NUMBER() OVER () AS `_row`
FROM `warehouse`.`shop`.`customers` AS `c`;

-- databricks: s2
SELECT
  `o`.`order_id` AS `c1`,
  `o`.`customer_id` AS `c2`,
  `o`.`amount` AS `c3`,
  ROW_NUMBER() OVER () AS `_row`
FROM `warehouse`.`shop`.`orders` AS `o`;

-- databricks: s3
SELECT
  `_row`,
  `r4__row_2`,
  `c2`,
  `_p1_charges`,
  `_p1_status`,
  CASE
    WHEN NOT `_p1_charges` IS NULL
    THEN MD5(
      CAST(LENGTH(CAST(`_p1_charges` + CAST(0 AS DOUBLE) AS STRING)) AS STRING) || ':' || CAST(`_p1_charges` + CAST(0 AS DOUBLE) AS STRING)
    )
  END AS `_p1_key`
FROM (
  SELECT
    `_row`,
    `r4__row_2`,
    `c2`,
    TRY_CAST(`_p1_charges_raw` AS DOUBLE) AS `_p1_charges`,
    CASE
      WHEN NOT `_p1_charges_raw` IS NULL AND TRY_CAST(`_p1_charges_raw` AS DOUBLE) IS NULL
      THEN 'cast_error:charges'
      WHEN TRY_CAST(`_p1_charges_raw` AS DOUBLE) IS NULL
      THEN 'null_input'
    END AS `_p1_status`
  FROM (
    SELECT
      `_l3`.`_row` AS `_row`,
      `_r4`.`_row` AS `r4__row_2`,
      `_l3`.`c2` AS `c2`,
      `_r4`.`c3` AS `_p1_charges_raw`
    FROM `sqlinfer_side`.`stage`.`left_join__s1` AS `_l3`
    JOIN `sqlinfer_side`.`stage`.`left_join__s2` AS `_r4`
      ON `_r4`.`c2` = `_l3`.`c1`
  ) AS `_raw`
) AS `_cast`;

-- databricks: result
SELECT
  `_j1`.`c1` AS `id`,
  `_j2`.`c1` AS `order_id`
FROM `sqlinfer_side`.`stage`.`left_join__s1` AS `_j1`
LEFT JOIN (
  SELECT
    `_s6`.`_row` AS `_left`,
    `_s6`.`r4__row_2` AS `_right`
  FROM `sqlinfer_side`.`stage`.`left_join__s3_scored` AS `_s6`
  WHERE
    `_s6`.`_p1` > `_s6`.`c2`
) AS `_m5`
  ON `_j1`.`_row` = `_m5`.`_left`
LEFT JOIN `sqlinfer_side`.`stage`.`left_join__s2` AS `_j2`
  ON `_m5`.`_right` = `_j2`.`_row`;

-- snowflake: s1
SELECT
  "C"."ID" AS "c1",
  "C"."CHARGES" AS "c2",
  ROW_NUMBER() OVER () AS "_row"
FROM "WAREHOUSE"."SHOP"."CUSTOMERS" AS "C";

-- snowflake: s2
SELECT
  "O"."ORDER_ID" AS "c1",
  "O"."CUSTOMER_ID" AS "c2",
  "O"."AMOUNT" AS "c3",
  ROW_NUMBER() OVER () AS "_row"
FROM "WAREHOUSE"."SHOP"."ORDERS" AS "O";

-- snowflake: s3
SELECT
  "_row",
  "r4__row_2",
  "c2",
  "_p1_charges",
  "_p1_status",
  CASE
    WHEN NOT "_p1_charges" IS NULL
    THEN MD5(
      CAST(LENGTH(CAST("_p1_charges" + CAST(0 AS DOUBLE) AS VARCHAR)) AS VARCHAR) || ':' || CAST("_p1_charges" + CAST(0 AS DOUBLE) AS VARCHAR)
    )
  END AS "_p1_key"
FROM (
  SELECT
    "_row",
    "r4__row_2",
    "c2",
    CAST("_p1_charges_raw" AS DOUBLE) AS "_p1_charges",
    CASE
      WHEN NOT "_p1_charges_raw" IS NULL AND CAST("_p1_charges_raw" AS DOUBLE) IS NULL
      THEN 'cast_error:charges'
      WHEN CAST("_p1_charges_raw" AS DOUBLE) IS NULL
      THEN 'null_input'
    END AS "_p1_status"
  FROM (
    SELECT
      "_l3"."_row" AS "_row",
      "_r4"."_row" AS "r4__row_2",
      "_l3"."c2" AS "c2",
      "_r4"."c3" AS "_p1_charges_raw"
    FROM "sqlinfer_side"."stage"."left_join__s1" AS "_l3"
    JOIN "sqlinfer_side"."stage"."left_join__s2" AS "_r4"
      ON "_r4"."c2" = "_l3"."c1"
  ) AS "_raw"
) AS "_cast";

-- snowflake: result
SELECT
  "_j1"."c1" AS "ID",
  "_j2"."c1" AS "ORDER_ID"
FROM "sqlinfer_side"."stage"."left_join__s1" AS "_j1"
LEFT JOIN (
  SELECT
    "_s6"."_row" AS "_left",
    "_s6"."r4__row_2" AS "_right"
  FROM "sqlinfer_side"."stage"."left_join__s3_scored" AS "_s6"
  WHERE
    "_s6"."_p1" > "_s6"."c2"
) AS "_m5"
  ON "_j1"."_row" = "_m5"."_left"
LEFT JOIN "sqlinfer_side"."stage"."left_join__s2" AS "_j2"
  ON "_m5"."_right" = "_j2"."_row";

-- bigquery: s1
SELECT
  `c`.`id` AS `c1`,
  `c`.`charges` AS `c2`,
  ROW_NUMBER() OVER () AS `_row`
FROM `warehouse`.`shop`.`customers` AS `c`;

-- bigquery: s2
SELECT
  `o`.`order_id` AS `c1`,
  `o`.`customer_id` AS `c2`,
  `o`.`amount` AS `c3`,
  ROW_NUMBER() OVER () AS `_row`
FROM `warehouse`.`shop`.`orders` AS `o`;

-- bigquery: s3
SELECT
  `_row`,
  `r4__row_2`,
  `c2`,
  `_p1_charges`,
  `_p1_status`,
  CASE
    WHEN NOT `_p1_charges` IS NULL
    THEN TO_HEX(
      MD5(
        CAST(LENGTH(CAST(`_p1_charges` + CAST(0 AS FLOAT64) AS STRING)) AS STRING) || ':' || CAST(`_p1_charges` + CAST(0 AS FLOAT64) AS STRING)
      )
    )
  END AS `_p1_key`
FROM (
  SELECT
    `_row`,
    `r4__row_2`,
    `c2`,
    SAFE_CAST(`_p1_charges_raw` AS FLOAT64) AS `_p1_charges`,
    CASE
      WHEN NOT `_p1_charges_raw` IS NULL AND SAFE_CAST(`_p1_charges_raw` AS FLOAT64) IS NULL
      THEN 'cast_error:charges'
      WHEN SAFE_CAST(`_p1_charges_raw` AS FLOAT64) IS NULL
      THEN 'null_input'
    END AS `_p1_status`
  FROM (
    SELECT
      `_l3`.`_row` AS `_row`,
      `_r4`.`_row` AS `r4__row_2`,
      `_l3`.`c2` AS `c2`,
      `_r4`.`c3` AS `_p1_charges_raw`
    FROM `sqlinfer_side`.`stage`.`left_join__s1` AS `_l3`
    JOIN `sqlinfer_side`.`stage`.`left_join__s2` AS `_r4`
      ON `_r4`.`c2` = `_l3`.`c1`
  ) AS `_raw`
) AS `_cast`;

-- bigquery: result
SELECT
  `_j1`.`c1` AS `id`,
  `_j2`.`c1` AS `order_id`
FROM `sqlinfer_side`.`stage`.`left_join__s1` AS `_j1`
LEFT JOIN (
  SELECT
    `_s6`.`_row` AS `_left`,
    `_s6`.`r4__row_2` AS `_right`
  FROM `sqlinfer_side`.`stage`.`left_join__s3_scored` AS `_s6`
  WHERE
    `_s6`.`_p1` > `_s6`.`c2`
) AS `_m5`
  ON `_j1`.`_row` = `_m5`.`_left`
LEFT JOIN `sqlinfer_side`.`stage`.`left_join__s2` AS `_j2`
  ON `_m5`.`_right` = `_j2`.`_row`;

-- redshift: s1
SELECT
  "c"."id" AS "c1",
  "c"."charges" AS "c2",
  ROW_NUMBER() OVER () AS "_row"
FROM "warehouse"."shop"."customers" AS "c";

-- redshift: s2
SELECT
  "o"."order_id" AS "c1",
  "o"."customer_id" AS "c2",
  "o"."amount" AS "c3",
  ROW_NUMBER() OVER () AS "_row"
FROM "warehouse"."shop"."orders" AS "o";

-- redshift: s3
SELECT
  "_row",
  "r4__row_2",
  "c2",
  "_p1_charges",
  "_p1_status",
  CASE
    WHEN NOT "_p1_charges" IS NULL
    THEN MD5(
      CAST(LENGTH(CAST("_p1_charges" + CAST(0 AS DOUBLE PRECISION) AS VARCHAR(MAX))) AS VARCHAR(MAX)) || ':' || CAST("_p1_charges" + CAST(0 AS DOUBLE PRECISION) AS VARCHAR(MAX))
    )
  END AS "_p1_key"
FROM (
  SELECT
    "_row",
    "r4__row_2",
    "c2",
    TRY_CAST("_p1_charges_raw" AS DOUBLE PRECISION) AS "_p1_charges",
    CASE
      WHEN NOT "_p1_charges_raw" IS NULL
      AND TRY_CAST("_p1_charges_raw" AS DOUBLE PRECISION) IS NULL
      THEN 'cast_error:charges'
      WHEN TRY_CAST("_p1_charges_raw" AS DOUBLE PRECISION) IS NULL
      THEN 'null_input'
    END AS "_p1_status"
  FROM (
    SELECT
      "_l3"."_row" AS "_row",
      "_r4"."_row" AS "r4__row_2",
      "_l3"."c2" AS "c2",
      "_r4"."c3" AS "_p1_charges_raw"
    FROM "sqlinfer_side"."stage"."left_join__s1" AS "_l3"
    JOIN "sqlinfer_side"."stage"."left_join__s2" AS "_r4"
      ON "_r4"."c2" = "_l3"."c1"
  ) AS "_raw"
) AS "_cast";

-- redshift: result
SELECT
  "_j1"."c1" AS "id",
  "_j2"."c1" AS "order_id"
FROM "sqlinfer_side"."stage"."left_join__s1" AS "_j1"
LEFT JOIN (
  SELECT
    "_s6"."_row" AS "_left",
    "_s6"."r4__row_2" AS "_right"
  FROM "sqlinfer_side"."stage"."left_join__s3_scored" AS "_s6"
  WHERE
    "_s6"."_p1" > "_s6"."c2"
) AS "_m5"
  ON "_j1"."_row" = "_m5"."_left"
LEFT JOIN "sqlinfer_side"."stage"."left_join__s2" AS "_j2"
  ON "_m5"."_right" = "_j2"."_row";
