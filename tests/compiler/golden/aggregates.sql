-- select region, predict('spend', avg(charges)) as p from customers group by region having predict('spend', avg(charges)) > 1

-- duckdb: s1
SELECT
  "c1",
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
    "c1",
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
      "_g1"."c1" AS "c1",
      "_g1"."c2" AS "_p1_charges_raw"
    FROM (
      SELECT
        "customers"."region" AS "c1",
        AVG("customers"."charges") AS "c2"
      FROM "warehouse"."shop"."customers" AS "customers"
      GROUP BY
        "customers"."region"
    ) AS "_g1"
  ) AS "_raw"
) AS "_cast";

-- duckdb: result
SELECT
  "_s2"."c1" AS "region",
  "_s2"."_p1" AS "p"
FROM "sqlinfer_side"."stage"."aggregates__s1_scored" AS "_s2"
WHERE
  "_s2"."_p1" > 1;

-- postgres: s1
SELECT
  "c1",
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
    "c1",
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
      "_g1"."c1" AS "c1",
      "_g1"."c2" AS "_p1_charges_raw"
    FROM (
      SELECT
        "customers"."region" AS "c1",
        AVG("customers"."charges") AS "c2"
      FROM "warehouse"."shop"."customers" AS "customers"
      GROUP BY
        "customers"."region"
    ) AS "_g1"
  ) AS "_raw"
) AS "_cast";

-- postgres: result
SELECT
  "_s2"."c1" AS "region",
  "_s2"."_p1" AS "p"
FROM "sqlinfer_side"."stage"."aggregates__s1_scored" AS "_s2"
WHERE
  "_s2"."_p1" > 1;

-- spark: s1
SELECT
  `c1`,
  `_p1_charges`,
  `_p1_status`,
  CASE
    WHEN NOT `_p1_charges` IS NULL
    THEN LPAD(HEX(XXHASH64(`_p1_charges`)), 16, '0') || LPAD(HEX(XXHASH64(1946526487930394057, `_p1_charges`)), 16, '0')
  END AS `_p1_key`
FROM (
  SELECT
    `c1`,
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
      `_g1`.`c1` AS `c1`,
      `_g1`.`c2` AS `_p1_charges_raw`
    FROM (
      SELECT
        `customers`.`region` AS `c1`,
        AVG(`customers`.`charges`) AS `c2`
      FROM `warehouse`.`shop`.`customers` AS `customers`
      GROUP BY
        `customers`.`region`
    ) AS `_g1`
  ) AS `_raw`
) AS `_cast`;

-- spark: result
SELECT
  `_s2`.`c1` AS `region`,
  `_s2`.`_p1` AS `p`
FROM `sqlinfer_side`.`stage`.`aggregates__s1_scored` AS `_s2`
WHERE
  `_s2`.`_p1` > 1;

-- databricks: s1
SELECT
  `c1`,
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
    `c1`,
    TRY_CAST(`_p1_charges_raw` AS DOUBLE) AS `_p1_charges`,
    CASE
      WHEN NOT `_p1_charges_raw` IS NULL AND TRY_CAST(`_p1_charges_raw` AS DOUBLE) IS NULL
      THEN 'cast_error:charges'
      WHEN TRY_CAST(`_p1_charges_raw` AS DOUBLE) IS NULL
      THEN 'null_input'
    END AS `_p1_status`
  FROM (
    SELECT
      `_g1`.`c1` AS `c1`,
      `_g1`.`c2` AS `_p1_charges_raw`
    FROM (
      SELECT
        `customers`.`region` AS `c1`,
        AVG(`customers`.`charges`) AS `c2`
      FROM `warehouse`.`shop`.`customers` AS `customers`
      GROUP BY
        `customers`.`region`
    ) AS `_g1`
  ) AS `_raw`
) AS `_cast`;

-- databricks: result
SELECT
  `_s2`.`c1` AS `region`,
  `_s2`.`_p1` AS `p`
FROM `sqlinfer_side`.`stage`.`aggregates__s1_scored` AS `_s2`
WHERE
  `_s2`.`_p1` > 1;

-- snowflake: s1
SELECT
  "c1",
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
    "c1",
    CAST("_p1_charges_raw" AS DOUBLE) AS "_p1_charges",
    CASE
      WHEN NOT "_p1_charges_raw" IS NULL AND CAST("_p1_charges_raw" AS DOUBLE) IS NULL
      THEN 'cast_error:charges'
      WHEN CAST("_p1_charges_raw" AS DOUBLE) IS NULL
      THEN 'null_input'
    END AS "_p1_status"
  FROM (
    SELECT
      "_g1"."c1" AS "c1",
      "_g1"."c2" AS "_p1_charges_raw"
    FROM (
      SELECT
        "CUSTOMERS"."REGION" AS "c1",
        AVG("CUSTOMERS"."CHARGES") AS "c2"
      FROM "WAREHOUSE"."SHOP"."CUSTOMERS" AS "CUSTOMERS"
      GROUP BY
        "CUSTOMERS"."REGION"
    ) AS "_g1"
  ) AS "_raw"
) AS "_cast";

-- snowflake: result
SELECT
  "_s2"."c1" AS "REGION",
  "_s2"."_p1" AS "P"
FROM "sqlinfer_side"."stage"."aggregates__s1_scored" AS "_s2"
WHERE
  "_s2"."_p1" > 1;

-- bigquery: s1
SELECT
  `c1`,
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
    `c1`,
    SAFE_CAST(`_p1_charges_raw` AS FLOAT64) AS `_p1_charges`,
    CASE
      WHEN NOT `_p1_charges_raw` IS NULL AND SAFE_CAST(`_p1_charges_raw` AS FLOAT64) IS NULL
      THEN 'cast_error:charges'
      WHEN SAFE_CAST(`_p1_charges_raw` AS FLOAT64) IS NULL
      THEN 'null_input'
    END AS `_p1_status`
  FROM (
    SELECT
      `_g1`.`c1` AS `c1`,
      `_g1`.`c2` AS `_p1_charges_raw`
    FROM (
      SELECT
        `customers`.`region` AS `c1`,
        avg(`customers`.`charges`) AS `c2`
      FROM `warehouse`.`shop`.`customers` AS `customers`
      GROUP BY
        `customers`.`region`
    ) AS `_g1`
  ) AS `_raw`
) AS `_cast`;

-- bigquery: result
SELECT
  `_s2`.`c1` AS `region`,
  `_s2`.`_p1` AS `p`
FROM `sqlinfer_side`.`stage`.`aggregates__s1_scored` AS `_s2`
WHERE
  `_s2`.`_p1` > 1;

-- redshift: s1
SELECT
  "c1",
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
    "c1",
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
      "_g1"."c1" AS "c1",
      "_g1"."c2" AS "_p1_charges_raw"
    FROM (
      SELECT
        "customers"."region" AS "c1",
        AVG("customers"."charges") AS "c2"
      FROM "warehouse"."shop"."customers" AS "customers"
      GROUP BY
        "customers"."region"
    ) AS "_g1"
  ) AS "_raw"
) AS "_cast";

-- redshift: result
SELECT
  "_s2"."c1" AS "region",
  "_s2"."_p1" AS "p"
FROM "sqlinfer_side"."stage"."aggregates__s1_scored" AS "_s2"
WHERE
  "_s2"."_p1" > 1;
