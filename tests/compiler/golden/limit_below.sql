-- select id, predict('score', tenure, charges) as p from customers order by id limit 10

-- duckdb: s1
SELECT
  "id",
  "_p1_tenure",
  "_p1_charges",
  CASE
    WHEN NOT "_p1_tenure" IS NULL AND NOT "_p1_charges" IS NULL
    THEN CAST(HASH("_p1_tenure", "_p1_charges" + CAST(0 AS DOUBLE)) AS UINT128) * 18446744073709551616 + HASH(
      XOR(HASH("_p1_tenure"), CAST(6983438112510666596 AS UBIGINT)),
      XOR(HASH("_p1_charges" + CAST(0 AS DOUBLE)), CAST(9160780894979089273 AS UBIGINT))
    )
  END AS "_p1_key"
FROM (
  SELECT
    "id",
    "_p1_tenure",
    CASE
      WHEN "_p1_charges_raw" IS NULL
      THEN CAST(0.0 AS DOUBLE)
      ELSE "_p1_charges_raw"
    END AS "_p1_charges"
  FROM (
    SELECT
      "customers"."id" AS "id",
      "customers"."tenure" AS "_p1_tenure",
      "customers"."charges" AS "_p1_charges_raw"
    FROM "warehouse"."shop"."customers" AS "customers"
    ORDER BY
      "customers"."id"
    LIMIT 10
  ) AS "_raw"
) AS "_cast";

-- duckdb: result
SELECT
  "_s1"."id" AS "id",
  "_s1"."_p1" AS "p"
FROM "sqlinfer_side"."stage"."limit_below__s1_scored" AS "_s1"
ORDER BY
  "id";

-- postgres: s1
SELECT
  "id",
  "_p1_tenure",
  "_p1_charges",
  CASE
    WHEN NOT "_p1_tenure" IS NULL AND NOT "_p1_charges" IS NULL
    THEN CAST(ENCODE(
      INT8SEND(
        HASHFLOAT8EXTENDED(
          "_p1_charges",
          HASHINT4EXTENDED("_p1_tenure", 2685821657736338717) # 9160780894979089273
        )
      ) || INT8SEND(
        HASHFLOAT8EXTENDED(
          "_p1_charges",
          HASHINT4EXTENDED("_p1_tenure", 1946526487930394057) # 9160780894979089273
        )
      ),
      'hex'
    ) AS UUID)
  END AS "_p1_key"
FROM (
  SELECT
    "id",
    "_p1_tenure",
    CASE
      WHEN "_p1_charges_raw" IS NULL
      THEN CAST(0.0 AS DOUBLE PRECISION)
      ELSE "_p1_charges_raw"
    END AS "_p1_charges"
  FROM (
    SELECT
      "customers"."id" AS "id",
      "customers"."tenure" AS "_p1_tenure",
      "customers"."charges" AS "_p1_charges_raw"
    FROM "warehouse"."shop"."customers" AS "customers"
    ORDER BY
      "customers"."id"
    LIMIT 10
  ) AS "_raw"
) AS "_cast";

-- postgres: result
SELECT
  "_s1"."id" AS "id",
  "_s1"."_p1" AS "p"
FROM "sqlinfer_side"."stage"."limit_below__s1_scored" AS "_s1"
ORDER BY
  "id";

-- spark: s1
SELECT
  `id`,
  `_p1_tenure`,
  `_p1_charges`,
  CASE
    WHEN NOT `_p1_tenure` IS NULL AND NOT `_p1_charges` IS NULL
    THEN LPAD(HEX(XXHASH64(`_p1_tenure`, `_p1_charges`)), 16, '0') || LPAD(HEX(XXHASH64(1946526487930394057, `_p1_tenure`, `_p1_charges`)), 16, '0')
  END AS `_p1_key`
FROM (
  SELECT
    `id`,
    `_p1_tenure`,
    CASE
      WHEN `_p1_charges_raw` IS NULL
      THEN CAST(0.0 AS DOUBLE)
      ELSE `_p1_charges_raw`
    END AS `_p1_charges`
  FROM (
    SELECT
      `customers`.`id` AS `id`,
      `customers`.`tenure` AS `_p1_tenure`,
      `customers`.`charges` AS `_p1_charges_raw`
    FROM `warehouse`.`shop`.`customers` AS `customers`
    ORDER BY
      `customers`.`id`
    LIMIT 10
  ) AS `_raw`
) AS `_cast`;

-- spark: result
SELECT
  `_s1`.`id` AS `id`,
  `_s1`.`_p1` AS `p`
FROM `sqlinfer_side`.`stage`.`limit_below__s1_scored` AS `_s1`
ORDER BY
  `id`;

-- databricks: s1
SELECT
  `id`,
  `_p1_tenure`,
  `_p1_charges`,
  CASE
    WHEN NOT `_p1_tenure` IS NULL AND NOT `_p1_charges` IS NULL
    THEN MD5(
      CAST(LENGTH(CAST(`_p1_tenure` AS STRING)) AS STRING) || ':' || CAST(`_p1_tenure` AS STRING) || CAST(LENGTH(CAST(`_p1_charges` + CAST(0 AS DOUBLE) AS STRING)) AS STRING) || ':' || CAST(`_p1_charges` + CAST(0 AS DOUBLE) AS STRING)
    )
  END AS `_p1_key`
FROM (
  SELECT
    `id`,
    `_p1_tenure`,
    CASE
      WHEN `_p1_charges_raw` IS NULL
      THEN CAST(0.0 AS DOUBLE)
      ELSE `_p1_charges_raw`
    END AS `_p1_charges`
  FROM (
    SELECT
      `customers`.`id` AS `id`,
      `customers`.`tenure` AS `_p1_tenure`,
      `customers`.`charges` AS `_p1_charges_raw`
    FROM `warehouse`.`shop`.`customers` AS `customers`
    ORDER BY
      `customers`.`id`
    LIMIT 10
  ) AS `_raw`
) AS `_cast`;

-- databricks: result
SELECT
  `_s1`.`id` AS `id`,
  `_s1`.`_p1` AS `p`
FROM `sqlinfer_side`.`stage`.`limit_below__s1_scored` AS `_s1`
ORDER BY
  `id`;

-- snowflake: s1
SELECT
  "ID",
  "_p1_tenure",
  "_p1_charges",
  CASE
    WHEN NOT "_p1_tenure" IS NULL AND NOT "_p1_charges" IS NULL
    THEN MD5(
      CAST(LENGTH(CAST("_p1_tenure" AS VARCHAR)) AS VARCHAR) || ':' || CAST("_p1_tenure" AS VARCHAR) || CAST(LENGTH(CAST("_p1_charges" + CAST(0 AS DOUBLE) AS VARCHAR)) AS VARCHAR) || ':' || CAST("_p1_charges" + CAST(0 AS DOUBLE) AS VARCHAR)
    )
  END AS "_p1_key"
FROM (
  SELECT
    "ID",
    "_p1_tenure",
    CASE
      WHEN "_p1_charges_raw" IS NULL
      THEN CAST(0.0 AS DOUBLE)
      ELSE "_p1_charges_raw"
    END AS "_p1_charges"
  FROM (
    SELECT
      "CUSTOMERS"."ID" AS "ID",
      "CUSTOMERS"."TENURE" AS "_p1_tenure",
      "CUSTOMERS"."CHARGES" AS "_p1_charges_raw"
    FROM "WAREHOUSE"."SHOP"."CUSTOMERS" AS "CUSTOMERS"
    ORDER BY
      "CUSTOMERS"."ID"
    LIMIT 10
  ) AS "_raw"
) AS "_cast";

-- snowflake: result
SELECT
  "_s1"."ID" AS "ID",
  "_s1"."_p1" AS "P"
FROM "sqlinfer_side"."stage"."limit_below__s1_scored" AS "_s1"
ORDER BY
  "ID";

-- bigquery: s1
SELECT
  `id`,
  `_p1_tenure`,
  `_p1_charges`,
  `_p1_status`,
  CASE
    WHEN NOT `_p1_tenure` IS NULL AND NOT `_p1_charges` IS NULL
    THEN TO_HEX(
      MD5(
        CAST(LENGTH(CAST(`_p1_tenure` AS STRING)) AS STRING) || ':' || CAST(`_p1_tenure` AS STRING) || CAST(LENGTH(CAST(`_p1_charges` + CAST(0 AS FLOAT64) AS STRING)) AS STRING) || ':' || CAST(`_p1_charges` + CAST(0 AS FLOAT64) AS STRING)
      )
    )
  END AS `_p1_key`
FROM (
  SELECT
    `id`,
    SAFE_CAST(`_p1_tenure_raw` AS INT64) AS `_p1_tenure`,
    CASE
      WHEN `_p1_charges_raw` IS NULL
      THEN CAST(0.0 AS FLOAT64)
      ELSE `_p1_charges_raw`
    END AS `_p1_charges`,
    CASE
      WHEN NOT `_p1_tenure_raw` IS NULL AND SAFE_CAST(`_p1_tenure_raw` AS INT64) IS NULL
      THEN 'cast_error:tenure'
      WHEN SAFE_CAST(`_p1_tenure_raw` AS INT64) IS NULL
      OR CASE
        WHEN `_p1_charges_raw` IS NULL
        THEN CAST(0.0 AS FLOAT64)
        ELSE `_p1_charges_raw`
      END IS NULL
      THEN 'null_input'
    END AS `_p1_status`
  FROM (
    SELECT
      `customers`.`id` AS `id`,
      `customers`.`tenure` AS `_p1_tenure_raw`,
      `customers`.`charges` AS `_p1_charges_raw`
    FROM `warehouse`.`shop`.`customers` AS `customers`
    ORDER BY
      `customers`.`id`
    LIMIT 10
  ) AS `_raw`
) AS `_cast`;

-- bigquery: result
SELECT
  `_s1`.`id` AS `id`,
  `_s1`.`_p1` AS `p`
FROM `sqlinfer_side`.`stage`.`limit_below__s1_scored` AS `_s1`
ORDER BY
  `id`;

-- redshift: s1
SELECT
  "id",
  "_p1_tenure",
  "_p1_charges",
  CASE
    WHEN NOT "_p1_tenure" IS NULL AND NOT "_p1_charges" IS NULL
    THEN MD5(
      CAST(LENGTH(CAST("_p1_tenure" AS VARCHAR(MAX))) AS VARCHAR(MAX)) || ':' || CAST("_p1_tenure" AS VARCHAR(MAX)) || CAST(LENGTH(CAST("_p1_charges" + CAST(0 AS DOUBLE PRECISION) AS VARCHAR(MAX))) AS VARCHAR(MAX)) || ':' || CAST("_p1_charges" + CAST(0 AS DOUBLE PRECISION) AS VARCHAR(MAX))
    )
  END AS "_p1_key"
FROM (
  SELECT
    "id",
    "_p1_tenure",
    CASE
      WHEN "_p1_charges_raw" IS NULL
      THEN CAST(0.0 AS DOUBLE PRECISION)
      ELSE "_p1_charges_raw"
    END AS "_p1_charges"
  FROM (
    SELECT
      "customers"."id" AS "id",
      "customers"."tenure" AS "_p1_tenure",
      "customers"."charges" AS "_p1_charges_raw"
    FROM "warehouse"."shop"."customers" AS "customers"
    ORDER BY
      "customers"."id"
    LIMIT 10
  ) AS "_raw"
) AS "_cast";

-- redshift: result
SELECT
  "_s1"."id" AS "id",
  "_s1"."_p1" AS "p"
FROM "sqlinfer_side"."stage"."limit_below__s1_scored" AS "_s1"
ORDER BY
  "id";
