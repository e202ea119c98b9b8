"""A fitted estimator → nodes of a graph. The registry says which file knows which estimator; a new one is one line."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

from sqlinfer.functions.estimators.answer import Answer
from sqlinfer.functions.estimators.graph import Frame, Graph
from sqlinfer.functions.sources.original import NotExact

STEPS: Final = {
    "Binarizer": "scaling:binarizer",
    "ColumnTransformer": "composition:columns",
    "CountVectorizer": "texts:counts",
    "FeatureUnion": "composition:union",
    "FunctionTransformer": "scaling:function",
    "GenericUnivariateSelect": "scaling:selection",
    "KBinsDiscretizer": "scaling:bins",
    "KMeans": "clusters:distances",
    "LinearDiscriminantAnalysis": "clusters:discriminant_axes",
    "MaxAbsScaler": "scaling:max_abs",
    "MinMaxScaler": "scaling:min_max",
    "MiniBatchKMeans": "clusters:distances",
    "MissingIndicator": "imputing:indicator",
    "Normalizer": "scaling:normalizer",
    "OneHotEncoder": "categories:one_hot",
    "OrdinalEncoder": "categories:ordinal",
    "PCA": "clusters:components",
    "Pipeline": "composition:pipeline",
    "PolynomialFeatures": "scaling:polynomial",
    "PowerTransformer": "scaling:power",
    "QuantileTransformer": "scaling:quantiles",
    "RFE": "scaling:selection",
    "RFECV": "scaling:selection",
    "RobustScaler": "scaling:robust",
    "SelectFdr": "scaling:selection",
    "SelectFpr": "scaling:selection",
    "SelectFromModel": "scaling:selection",
    "SelectFwe": "scaling:selection",
    "SelectKBest": "scaling:selection",
    "SelectPercentile": "scaling:selection",
    "SequentialFeatureSelector": "scaling:selection",
    "SimpleImputer": "imputing:simple",
    "StandardScaler": "scaling:standard",
    "TargetEncoder": "categories:target",
    "TfidfTransformer": "texts:weighted",
    "TfidfVectorizer": "texts:weighted_counts",
    "TruncatedSVD": "clusters:singular",
    "VarianceThreshold": "scaling:selection",
}
"""Class of scikit-learn → ``file:function`` of this package, for what a step hands on."""

_LINEAR: Final = (
    "ARDRegression", "BayesianRidge", "ElasticNet", "ElasticNetCV", "HuberRegressor", "Lars", "LarsCV", "Lasso",
    "LassoCV", "LassoLars", "LassoLarsCV", "LassoLarsIC", "LinearRegression", "LinearSVR", "MultiTaskElasticNet",
    "MultiTaskElasticNetCV", "MultiTaskLasso", "MultiTaskLassoCV", "OrthogonalMatchingPursuit",
    "OrthogonalMatchingPursuitCV", "PassiveAggressiveRegressor", "QuantileRegressor", "Ridge", "RidgeCV",
    "SGDRegressor", "TheilSenRegressor",
)  # fmt: skip
ANSWERS: Final = {
    **dict.fromkeys(_LINEAR, "linear:regressor"),
    **dict.fromkeys(("GammaRegressor", "PoissonRegressor", "TweedieRegressor"), "linear:generalised"),
    **dict.fromkeys(
        ("LinearSVC", "PassiveAggressiveClassifier", "Perceptron", "RidgeClassifier", "RidgeClassifierCV"),
        "linear:decision",
    ),
    **dict.fromkeys(("LogisticRegression", "LogisticRegressionCV"), "linear:logistic"),
    **dict.fromkeys(("NuSVC", "SVC"), "vectors:classifier"),
    **dict.fromkeys(("NuSVR", "SVR"), "vectors:regressor"),
    **dict.fromkeys(("DecisionTreeClassifier", "ExtraTreeClassifier"), "trees:tree_classifier"),
    **dict.fromkeys(("DecisionTreeRegressor", "ExtraTreeRegressor"), "trees:tree_regressor"),
    **dict.fromkeys(("ExtraTreesClassifier", "RandomForestClassifier"), "trees:forest_classifier"),
    **dict.fromkeys(("ExtraTreesRegressor", "RandomForestRegressor"), "trees:forest_regressor"),
    **dict.fromkeys(("BayesianGaussianMixture", "GaussianMixture"), "probabilistic:mixture"),
    **dict.fromkeys(("BisectingKMeans", "KMeans", "MiniBatchKMeans"), "clusters:nearest_centre"),
    **dict.fromkeys(
        ("GridSearchCV", "HalvingGridSearchCV", "HalvingRandomSearchCV", "RandomizedSearchCV"), "composition:searched"
    ),
    **dict.fromkeys(("MultiOutputClassifier", "MultiOutputRegressor"), "ensembles:several_outputs"),
    **dict.fromkeys(("ClassifierChain", "RegressorChain"), "ensembles:chain"),
    **dict.fromkeys(("RFE", "RFECV"), "composition:selected"),
    **dict.fromkeys(("StackingClassifier", "StackingRegressor"), "ensembles:stacking"),
    "AdaBoostClassifier": "ensembles:weighted_boosting_classifier",
    "AdaBoostRegressor": "ensembles:weighted_boosting_regressor",
    "BaggingClassifier": "ensembles:bagging_classifier",
    "BaggingRegressor": "ensembles:bagging_regressor",
    "BernoulliNB": "probabilistic:bernoulli_bayes",
    "CalibratedClassifierCV": "calibration:calibrated",
    "ComplementNB": "probabilistic:complement_bayes",
    "DummyClassifier": "dummies:classifier",
    "DummyRegressor": "dummies:regressor",
    "GaussianNB": "probabilistic:gaussian_bayes",
    "GradientBoostingClassifier": "trees:boosted_classifier",
    "GradientBoostingRegressor": "trees:boosted_regressor",
    "HistGradientBoostingClassifier": "trees:histogram_classifier",
    "HistGradientBoostingRegressor": "trees:histogram_regressor",
    "IsolationForest": "trees:isolation",
    "IsotonicRegression": "calibration:isotonic",
    "LinearDiscriminantAnalysis": "probabilistic:discriminant",
    "MLPClassifier": "networks:classifier",
    "MLPRegressor": "networks:regressor",
    "MultinomialNB": "probabilistic:multinomial_bayes",
    "OneClassSVM": "vectors:outlier",
    "OneVsOneClassifier": "ensembles:one_against_one",
    "OneVsRestClassifier": "ensembles:one_against_rest",
    "Pipeline": "composition:pipeline_answer",
    "SGDClassifier": "linear:stochastic",
    "TransformedTargetRegressor": "composition:transformed_target",
    "VotingClassifier": "ensembles:voting_classifier",
    "VotingRegressor": "ensembles:voting_regressor",
    "_ConstantPredictor": "ensembles:constant",
}
"""The same for what ``predict`` and its relatives say."""


def transformed(graph: Graph, step: Any, frame: Frame) -> Frame:
    """What a step makes of the columns.

    Raises:
        NotExact: no exact conversion is known.
    """
    if step is None or (isinstance(step, str) and step == "passthrough"):
        return frame
    made: Frame = _converter(step, STEPS)(graph, step, frame)
    return made


def answered(graph: Graph, model: Any, frame: Frame) -> Answer:
    """What the estimator says of each row.

    Raises:
        NotExact: no exact conversion is known.
    """
    made: Answer = _converter(model, ANSWERS)(graph, model, frame)
    return made


def _converter(model: Any, known: dict[str, str]) -> Any:
    kind = type(model)
    place = known.get(kind.__name__)
    if not kind.__module__.startswith("sklearn."):
        raise NotExact(f"{kind.__module__}.{kind.__qualname__} is not scikit-learn's own")
    if place is None:
        raise NotExact(f"no exact conversion of {kind.__name__} is known")
    file, _, function = place.partition(":")
    return getattr(import_module(f"sqlinfer.functions.estimators.{file}"), function)
