-- select id from customers where predict('score', tenure, charges) > 0.5 and predict('label', region) = 'x'

-- duckdb: s1
SELECT
  "customers"."id" AS "id",
  "customers"."tenure" AS "tenure",
  "customers"."charges" AS "charges",
  "customers"."region" AS "_p1_region",
  CASE
    WHEN NOT "customers"."region" IS NULL
    THEN MD5_NUMBER(
      CAST(LENGTH(CAST("customers"."region" AS TEXT)) AS TEXT) || ':' || CAST("customers"."region" AS TEXT)
    )
  END AS "_p1_key"
FROM "warehouse"."shop"."customers" AS "customers";

-- duckdb: s2
SELECT
  "id",
  "_p2_tenure",
  "_p2_charges",
  CASE
    WHEN NOT "_p2_tenure" IS NULL AND NOT "_p2_charges" IS NULL
    THEN CAST(HASH("_p2_tenure", "_p2_charges" + CAST(0 AS DOUBLE)) AS UINT128) * 18446744073709551616 + HASH(
      XOR(HASH("_p2_tenure"), CAST(6983438112510666596 AS UBIGINT)),
      XOR(HASH("_p2_charges" + CAST(0 AS DOUBLE)), CAST(9160780894979089273 AS UBIGINT))
    )
  END AS "_p2_key"
FROM (
  SELECT
    "id",
    "_p2_tenure",
    CASE
      WHEN "_p2_charges_raw" IS NULL
      THEN CAST(0.0 AS DOUBLE)
      ELSE "_p2_charges_raw"
    END AS "_p2_charges"
  FROM (
    SELECT
      "_s1"."id" AS "id",
      "_s1"."tenure" AS "_p2_tenure",
      "_s1"."charges" AS "_p2_charges_raw"
    FROM "sqlinfer_side"."stage"."waves__s1_scored" AS "_s1"
    WHERE
      "_s1"."_p1" = 'x'
  ) AS "_raw"
) AS "_cast";

-- duckdb: result
SELECT
  "_s1"."id" AS "id"
FROM "sqlinfer_side"."stage"."waves__s2_scored" AS "_s1"
WHERE
  "_s1"."_p2" > 0.5;

-- postgres: s1
SELECT
  "customers"."id" AS "id",
  "customers"."tenure" AS "tenure",
  "customers"."charges" AS "charges",
  "customers"."region" AS "_p1_region",
  CASE
    WHEN NOT "customers"."region" IS NULL
    THEN CAST(ENCODE(
      INT8SEND(HASHTEXTEXTENDED("customers"."region" COLLATE "C", 2685821657736338717)) || INT8SEND(HASHTEXTEXTENDED("customers"."region" COLLATE "C", 1946526487930394057)),
      'hex'
    ) AS UUID)
  END AS "_p1_key"
FROM "warehouse"."shop"."customers" AS "customers";

-- postgres: s2
SELECT
  "id",
  "_p2_tenure",
  "_p2_charges",
  CASE
    WHEN NOT "_p2_tenure" IS NULL AND NOT "_p2_charges" IS NULL
    THEN CAST(ENCODE(
      INT8SEND(
        HASHFLOAT8EXTENDED(
          "_p2_charges",
          HASHINT4EXTENDED("_p2_tenure", 2685821657736338717) # 9160780894979089273
        )
      ) || INT8SEND(
        HASHFLOAT8EXTENDED(
          "_p2_charges",
          HASHINT4EXTENDED("_p2_tenure", 1946526487930394057) # 9160780894979089273
        )
      ),
      'hex'
    ) AS UUID)
  END AS "_p2_key"
FROM (
  SELECT
    "id",
    "_p2_tenure",
    CASE
      WHEN "_p2_charges_raw" IS NULL
      THEN CAST(0.0 AS DOUBLE PRECISION)
      ELSE "_p2_charges_raw"
    END AS "_p2_charges"
  FROM (
    SELECT
      "_s1"."id" AS "id",
      "_s1"."tenure" AS "_p2_tenure",
      "_s1"."charges" AS "_p2_charges_raw"
    FROM "sqlinfer_side"."stage"."waves__s1_scored" AS "_s1"
    WHERE
      "_s1"."_p1" = 'x'
  ) AS "_raw"
) AS "_cast";

-- postgres: result
SELECT
  "_s1"."id" AS "id"
FROM "sqlinfer_side"."stage"."waves__s2_scored" AS "_s1"
WHERE
  "_s1"."_p2" > 0.5;

-- spark: s1
SELECT
  `customers`.`id` AS `id`,
  `customers`.`tenure` AS `tenure`,
  `customers`.`charges` AS `charges`,
  `customers`.`region` AS `_p1_region`,
  CASE
    WHEN NOT `customers`.`region` IS NULL
    THEN LPAD(HEX(XXHASH64(CAST(`customers`.`region` AS BINARY))), 16, '0') || LPAD(HEX(XXHASH64(1946526487930394057, CAST(`customers`.`region` AS BINARY))), 16, '0')
  END AS `_p1_key`
FROM `warehouse`.`shop`.`customers` AS `customers`;

-- spark: s2
SELECT
  `id`,
  `_p2_tenure`,
  `_p2_charges`,
  CASE
    WHEN NOT `_p2_tenure` IS NULL AND NOT `_p2_charges` IS NULL
    THEN LPAD(HEX(XXHASH64(`_p2_tenure`, `_p2_charges`)), 16, '0') || LPAD(HEX(XXHASH64(1946526487930394057, `_p2_tenure`, `_p2_charges`)), 16, '0')
  END AS `_p2_key`
FROM (
  SELECT
    `id`,
    `_p2_tenure`,
    CASE
      WHEN `_p2_charges_raw` IS NULL
      THEN CAST(0.0 AS DOUBLE)
      ELSE `_p2_charges_raw`
    END AS `_p2_charges`
  FROM (
    SELECT
      `_s1`.`id` AS `id`,
      `_s1`.`tenure` AS `_p2_tenure`,
      `_s1`.`charges` AS `_p2_charges_raw`
    FROM `sqlinfer_side`.`stage`.`waves__s1_scored` AS `_s1`
    WHERE
      `_s1`.`_p1` = 'x'
  ) AS `_raw`
) AS `_cast`;

-- spark: result
SELECT
  `_s1`.`id` AS `id`
FROM `sqlinfer_side`.`stage`.`waves__s2_scored` AS `_s1`
WHERE
  `_s1`.`_p2` > 0.5;

-- databricks: s1
SELECT
  `customers`.`id` AS `id`,
  `customers`.`tenure` AS `tenure`,
  `customers`.`charges` AS `charges`,
  `customers`.`region` AS `_p1_region`,
  CASE
    WHEN NOT `customers`.`region` IS NULL
    THEN MD5(
      CAST(LENGTH(CAST(`customers`.`region` AS STRING)) AS STRING) || ':' || CAST(`customers`.`region` AS STRING)
    )
  END AS `_p1_key`
FROM `warehouse`.`shop`.`customers` AS `customers`;

-- databricks: s2
SELECT
  `id`,
  `_p2_tenure`,
  `_p2_charges`,
  CASE
    WHEN NOT `_p2_tenure` IS NULL AND NOT `_p2_charges` IS NULL
    THEN MD5(
      CAST(LENGTH(CAST(`_p2_tenure` AS STRING)) AS STRING) || ':' || CAST(`_p2_tenure` AS STRING) || CAST(LENGTH(CAST(`_p2_charges` + CAST(0 AS DOUBLE) AS STRING)) AS STRING) || ':' || CAST(`_p2_charges` + CAST(0 AS DOUBLE) AS STRING)
    )
  END AS `_p2_key`
FROM (
  SELECT
    `id`,
    `_p2_tenure`,
    CASE
      WHEN `_p2_charges_raw` IS NULL
      THEN CAST(0.0 AS DOUBLE)
      ELSE `_p2_charges_raw`
    END AS `_p2_charges`
  FROM (
    SELECT
      `_s1`.`id` AS `id`,
      `_s1`.`tenure` AS `_p2_tenure`,
      `_s1`.`charges` AS `_p2_charges_raw`
    FROM `sqlinfer_side`.`stage`.`waves__s1_scored` AS `_s1`
    WHERE
      `_s1`.`_p1` = 'x'
  ) AS `_raw`
) AS `_cast`;

-- databricks: result
SELECT
  `_s1`.`id` AS `id`
FROM `sqlinfer_side`.`stage`.`waves__s2_scored` AS `_s1`
WHERE
  `_s1`.`_p2` > 0.5;

-- snowflake: s1
SELECT
  "CUSTOMERS"."ID" AS "ID",
  "CUSTOMERS"."TENURE" AS "TENURE",
  "CUSTOMERS"."CHARGES" AS "CHARGES",
  "CUSTOMERS"."REGION" AS "_p1_region",
  CASE
    WHEN NOT "CUSTOMERS"."REGION" IS NULL
    THEN MD5(
      CAST(LENGTH(CAST("CUSTOMERS"."REGION" AS VARCHAR)) AS VARCHAR) || ':' || CAST("CUSTOMERS"."REGION" AS VARCHAR)
    )
  END AS "_p1_key"
FROM "WAREHOUSE"."SHOP"."CUSTOMERS" AS "CUSTOMERS";

-- snowflake: s2
SELECT
  "ID",
  "_p2_tenure",
  "_p2_charges",
  CASE
    WHEN NOT "_p2_tenure" IS NULL AND NOT "_p2_charges" IS NULL
    THEN MD5(
      CAST(LENGTH(CAST("_p2_tenure" AS VARCHAR)) AS VARCHAR) || ':' || CAST("_p2_tenure" AS VARCHAR) || CAST(LENGTH(CAST("_p2_charges" + CAST(0 AS DOUBLE) AS VARCHAR)) AS VARCHAR) || ':' || CAST("_p2_charges" + CAST(0 AS DOUBLE) AS VARCHAR)
    )
  END AS "_p2_key"
FROM (
  SELECT
    "ID",
    "_p2_tenure",
    CASE
      WHEN "_p2_charges_raw" IS NULL
      THEN CAST(0.0 AS DOUBLE)
      ELSE "_p2_charges_raw"
    END AS "_p2_charges"
  FROM (
    SELECT
      "_s1"."ID" AS "ID",
      "_s1"."TENURE" AS "_p2_tenure",
      "_s1"."CHARGES" AS "_p2_charges_raw"
    FROM "sqlinfer_side"."stage"."waves__s1_scored" AS "_s1"
    WHERE
      "_s1"."_p1" = 'x'
  ) AS "_raw"
) AS "_cast";

-- snowflake: result
SELECT
  "_s1"."ID" AS "ID"
FROM "sqlinfer_side"."stage"."waves__s2_scored" AS "_s1"
WHERE
  "_s1"."_p2" > 0.5;

-- bigquery: s1
SELECT
  `customers`.`id` AS `id`,
  `customers`.`tenure` AS `tenure`,
  `customers`.`charges` AS `charges`,
  `customers`.`region` AS `_p1_region`,
  CASE
    WHEN NOT `customers`.`region` IS NULL
    THEN TO_HEX(
      MD5(
        CAST(LENGTH(CAST(`customers`.`region` AS STRING)) AS STRING) || ':' || CAST(`customers`.`region` AS STRING)
      )
    )
  END AS `_p1_key`
FROM `warehouse`.`shop`.`customers` AS `customers`;

-- bigquery: s2
SELECT
  `id`,
  `_p2_tenure`,
  `_p2_charges`,
  `_p2_status`,
  CASE
    WHEN NOT `_p2_tenure` IS NULL AND NOT `_p2_charges` IS NULL
    THEN TO_HEX(
      MD5(
        CAST(LENGTH(CAST(`_p2_tenure` AS STRING)) AS STRING) || ':' || CAST(`_p2_tenure` AS STRING) || CAST(LENGTH(CAST(`_p2_charges` + CAST(0 AS FLOAT64) AS STRING)) AS STRING) || ':' || CAST(`_p2_charges` + CAST(0 AS FLOAT64) AS STRING)
      )
    )
  END AS `_p2_key`
FROM (
  SELECT
    `id`,
    SAFE_CAST(`_p2_tenure_raw` AS INT64) AS `_p2_tenure`,
    CASE
      WHEN `_p2_charges_raw` IS NULL
      THEN CAST(0.0 AS FLOAT64)
      ELSE `_p2_charges_raw`
    END AS `_p2_charges`,
    CASE
      WHEN NOT `_p2_tenure_raw` IS NULL AND SAFE_CAST(`_p2_tenure_raw` AS INT64) IS NULL
      THEN 'cast_error:tenure'
      WHEN SAFE_CAST(`_p2_tenure_raw` AS INT64) IS NULL
      OR CASE
        WHEN `_p2_charges_raw` IS NULL
        THEN CAST(0.0 AS FLOAT64)
        ELSE `_p2_charges_raw`
      END IS NULL
      THEN 'null_input'
    END AS `_p2_status`
  FROM (
    SELECT
      `_s1`.`id` AS `id`,
      `_s1`.`tenure` AS `_p2_tenure_raw`,
      `_s1`.`charges` AS `_p2_charges_raw`
    FROM `sqlinfer_side`.`stage`.`waves__s1_scored` AS `_s1`
    WHERE
      `_s1`.`_p1` = 'x'
  ) AS `_raw`
) AS `_cast`;

-- bigquery: result
SELECT
  `_s1`.`id` AS `id`
FROM `sqlinfer_side`.`stage`.`waves__s2_scored` AS `_s1`
WHERE
  `_s1`.`_p2` > 0.5;

-- redshift: s1
SELECT
  "customers"."id" AS "id",
  "customers"."tenure" AS "tenure",
  "customers"."charges" AS "charges",
  "customers"."region" AS "_p1_region",
  CASE
    WHEN NOT "customers"."region" IS NULL
    THEN MD5(
      CAST(LENGTH(CAST("customers"."region" AS VARCHAR(MAX))) AS VARCHAR(MAX)) || ':' || CAST("customers"."region" AS VARCHAR(MAX))
    )
  END AS "_p1_key"
FROM "warehouse"."shop"."customers" AS "customers";

-- redshift: s2
SELECT
  "id",
  "_p2_tenure",
  "_p2_charges",
  CASE
    WHEN NOT "_p2_tenure" IS NULL AND NOT "_p2_charges" IS NULL
    THEN MD5(
      CAST(LENGTH(CAST("_p2_tenure" AS VARCHAR(MAX))) AS VARCHAR(MAX)) || ':' || CAST("_p2_tenure" AS VARCHAR(MAX)) || CAST(LENGTH(CAST("_p2_charges" + CAST(0 AS DOUBLE PRECISION) AS VARCHAR(MAX))) AS VARCHAR(MAX)) || ':' || CAST("_p2_charges" + CAST(0 AS DOUBLE PRECISION) AS VARCHAR(MAX))
    )
  END AS "_p2_key"
FROM (
  SELECT
    "id",
    "_p2_tenure",
    CASE
      WHEN "_p2_charges_raw" IS NULL
      THEN CAST(0.0 AS DOUBLE PRECISION)
      ELSE "_p2_charges_raw"
    END AS "_p2_charges"
  FROM (
    SELECT
      "_s1"."id" AS "id",
      "_s1"."tenure" AS "_p2_tenure",
      "_s1"."charges" AS "_p2_charges_raw"
    FROM "sqlinfer_side"."stage"."waves__s1_scored" AS "_s1"
    WHERE
      "_s1"."_p1" = 'x'
  ) AS "_raw"
) AS "_cast";

-- redshift: result
SELECT
  "_s1"."id" AS "id"
FROM "sqlinfer_side"."stage"."waves__s2_scored" AS "_s1"
WHERE
  "_s1"."_p2" > 0.5;
