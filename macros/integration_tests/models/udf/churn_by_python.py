import sqlinfer.dbt


def model(dbt, session):
    return sqlinfer.dbt.predict(dbt, dbt.ref("customers"), "churn_score", as_column="churn_probability")
