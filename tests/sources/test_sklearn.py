"""Estimators of scikit-learn and their graphs: the same labels and numbers, on rows made to tell them apart."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pandas")
pytest.importorskip("sklearn")

import pyarrow as pa
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    BaggingClassifier,
    BaggingRegressor,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.feature_selection import RFE, SelectFromModel, SelectKBest
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import (
    ElasticNet,
    GammaRegressor,
    Lasso,
    LogisticRegression,
    Perceptron,
    PoissonRegressor,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
    SGDRegressor,
    TweedieRegressor,
)
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier, MultiOutputRegressor, RegressorChain
from sklearn.naive_bayes import BernoulliNB, ComplementNB, GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
    TargetEncoder,
)
from sklearn.svm import SVC, SVR, LinearSVC, NuSVR, OneClassSVM
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from sqlinfer.functions.sources.original import NotExact
from sqlinfer.functions.sources.sklearn_model import Estimator
from tests.sources import telco
from tests.sources.telco import CHURNED, COMPLETE, CUSTOMERS, NUMBERS, RISK, TEXTS, VALUE

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
POSITIVE = np.abs(VALUE) + 0.1
TWO = np.c_[VALUE, VALUE**2]
LINEAR, FOREST = LogisticRegression(max_iter=500), RandomForestClassifier(10, random_state=0)


def mixed(model: Any, target: Any = CHURNED, *, scaler: Any = None, encoder: Any = None, imputer: Any = None) -> Any:
    """Numbers imputed and scaled, texts imputed and encoded, and the model behind them."""
    numbers = make_pipeline(imputer or SimpleImputer(strategy="median"), scaler or StandardScaler())
    texts = make_pipeline(SimpleImputer(strategy="most_frequent"), encoder or OneHotEncoder(handle_unknown="ignore"))
    columns = ColumnTransformer([("n", numbers, NUMBERS), ("t", texts, TEXTS)])
    return make_pipeline(columns, model).fit(CUSTOMERS, target)


def numeric(model: Any, target: Any = None, *before: Any) -> Any:
    return make_pipeline(*before, model).fit(COMPLETE, target)


def categorical() -> Any:
    frame = CUSTOMERS.astype(dict.fromkeys(TEXTS, "category"))
    return HistGradientBoostingClassifier(max_iter=10, categorical_features="from_dtype").fit(frame, CHURNED)


def ordinal_categories() -> Any:
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
    columns = ColumnTransformer([("t", encoder, TEXTS)], remainder="passthrough")
    return make_pipeline(columns, HistGradientBoostingClassifier(max_iter=10, categorical_features=[0, 1, 2])).fit(
        CUSTOMERS, CHURNED
    )


def own_missing_category() -> Any:
    encoder = OneHotEncoder(handle_unknown="ignore")
    columns = ColumnTransformer([("t", encoder, [*TEXTS, "senior"]), ("n", SimpleImputer(), NUMBERS)])
    return make_pipeline(columns, LINEAR).fit(CUSTOMERS, CHURNED)


def without_names() -> Any:
    columns = ColumnTransformer([("n", StandardScaler(), [0, 1]), ("t", OneHotEncoder(handle_unknown="ignore"), [2])])
    table = CUSTOMERS[["tenure", "monthly charges", "contract"]].to_numpy(object)
    return make_pipeline(columns, LINEAR).fit(table, CHURNED)


def passed_through() -> Any:
    columns = ColumnTransformer([("t", OneHotEncoder(), ["contract"])], remainder="passthrough")
    return make_pipeline(columns, LINEAR).fit(CUSTOMERS[["tenure", "contract", "monthly charges", "senior"]], CHURNED)


CASES: dict[str, Callable[[], Any]] = {
    "logistic": lambda: mixed(LINEAR),
    "logistic of three": lambda: mixed(LINEAR, RISK),
    "logistic liblinear": lambda: mixed(LogisticRegression(solver="liblinear")),
    "labels that are integers": lambda: mixed(LINEAR, (CHURNED == "Yes").astype(int)),
    "labels that are booleans": lambda: mixed(LINEAR, CHURNED == "Yes"),
    "labels that are floats": lambda: mixed(LINEAR, (CHURNED == "Yes").astype(float)),
    "ridge": lambda: mixed(Ridge(), VALUE),
    "lasso": lambda: mixed(Lasso(), VALUE),
    "elastic net": lambda: mixed(ElasticNet(), VALUE),
    "stochastic regressor": lambda: mixed(SGDRegressor(), VALUE),
    "poisson": lambda: mixed(PoissonRegressor(), POSITIVE),
    "gamma": lambda: mixed(GammaRegressor(), POSITIVE),
    "tweedie": lambda: mixed(TweedieRegressor(power=1.5), POSITIVE),
    "stochastic log": lambda: mixed(SGDClassifier(loss="log_loss")),
    "stochastic huber of three": lambda: mixed(SGDClassifier(loss="modified_huber"), RISK),
    "stochastic hinge": lambda: mixed(SGDClassifier()),
    "linear vectors": lambda: mixed(LinearSVC()),
    "ridge classifier": lambda: mixed(RidgeClassifier(), RISK),
    "perceptron": lambda: mixed(Perceptron()),
    "vectors": lambda: mixed(SVC()),
    "vectors of three": lambda: mixed(SVC(), RISK),
    "vectors one against one": lambda: mixed(SVC(decision_function_shape="ovo", kernel="poly"), RISK),
    "vectors with probability": lambda: mixed(SVC(probability=True, random_state=0)),
    "vectors with probability of three": lambda: mixed(SVC(probability=True, random_state=0), RISK),
    "vector regressor": lambda: mixed(SVR(), VALUE),
    "nu regressor": lambda: mixed(NuSVR(kernel="sigmoid"), VALUE),
    "one class": lambda: numeric(OneClassSVM(nu=0.1), None, StandardScaler()),
    "gaussian bayes": lambda: numeric(GaussianNB(), RISK, StandardScaler()),
    "bernoulli bayes": lambda: mixed(BernoulliNB(), RISK),
    "multinomial bayes": lambda: mixed(MultinomialNB(), RISK, scaler=MinMaxScaler(clip=True)),
    "complement bayes": lambda: mixed(ComplementNB(), RISK, scaler=MinMaxScaler(clip=True)),
    "perceptrons": lambda: mixed(MLPClassifier((8,), max_iter=30)),
    "perceptrons of three": lambda: mixed(MLPClassifier((8, 4), activation="tanh", max_iter=30), RISK),
    "perceptron regressor": lambda: mixed(
        MLPRegressor(hidden_layer_sizes=(8,), activation="logistic", max_iter=30), VALUE
    ),
    "discriminant": lambda: mixed(LinearDiscriminantAnalysis(), RISK),
    "k-means": lambda: numeric(KMeans(4, n_init=1, random_state=0), None, StandardScaler()),
    "k-means in batches": lambda: numeric(MiniBatchKMeans(4, n_init=1, random_state=0)),
    "mixture": lambda: numeric(GaussianMixture(3, random_state=0), None, StandardScaler()),
    "mixture of tied": lambda: numeric(GaussianMixture(3, covariance_type="tied"), None, StandardScaler()),
    "mixture of diagonals": lambda: numeric(GaussianMixture(2, covariance_type="diag"), None, StandardScaler()),
    "components": lambda: numeric(PCA(2), None, StandardScaler()),
    "whitened components": lambda: numeric(LINEAR, CHURNED, StandardScaler(), PCA(2, whiten=True)),
    "singular values": lambda: mixed(TruncatedSVD(3)),
    "min max": lambda: mixed(LINEAR, scaler=MinMaxScaler()),
    "robust": lambda: mixed(LINEAR, scaler=RobustScaler()),
    "max abs": lambda: mixed(LINEAR, scaler=MaxAbsScaler()),
    "normalizer": lambda: mixed(LINEAR, scaler=Normalizer()),
    "yeo johnson": lambda: mixed(LINEAR, scaler=PowerTransformer()),
    "box cox": lambda: make_pipeline(PowerTransformer(method="box-cox"), LINEAR).fit(COMPLETE.abs() + 1, CHURNED),
    "quantiles": lambda: mixed(LINEAR, scaler=QuantileTransformer(n_quantiles=50)),
    "bins": lambda: mixed(LINEAR, scaler=KBinsDiscretizer(4, strategy="uniform")),
    "bins in order": lambda: mixed(LINEAR, scaler=KBinsDiscretizer(4, encode="ordinal", strategy="uniform")),
    "polynomial": lambda: mixed(LINEAR, scaler=make_pipeline(StandardScaler(), PolynomialFeatures(2))),
    "missing indicator": lambda: mixed(LINEAR, imputer=SimpleImputer(add_indicator=True)),
    "logarithm": lambda: make_pipeline(FunctionTransformer(np.log1p), LINEAR).fit(COMPLETE.abs(), CHURNED),
    "unseen categories refused": lambda: mixed(LINEAR, encoder=OneHotEncoder()),
    "first category dropped": lambda: mixed(LINEAR, encoder=OneHotEncoder(drop="first", handle_unknown="ignore")),
    "infrequent categories": lambda: mixed(
        LINEAR, encoder=OneHotEncoder(min_frequency=20, handle_unknown="infrequent_if_exist")
    ),
    "most categories": lambda: mixed(
        LINEAR, encoder=OneHotEncoder(max_categories=3, drop="first", handle_unknown="infrequent_if_exist")
    ),
    "ordinal": lambda: mixed(LINEAR, encoder=OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)),
    "ordinal refused": lambda: mixed(LINEAR, encoder=OrdinalEncoder()),
    "target encoder": lambda: mixed(LINEAR, encoder=TargetEncoder()),
    "target encoder of three": lambda: mixed(LINEAR, RISK, encoder=TargetEncoder()),
    "missing as a category": own_missing_category,
    "columns by place": without_names,
    "columns passed through": passed_through,
    "union": lambda: numeric(LINEAR, CHURNED, StandardScaler(), FeatureUnion([("a", PCA(2)), ("b", SelectKBest(k=2))])),
    "search": lambda: GridSearchCV(mixed(LINEAR), {"logisticregression__C": [0.1, 1]}, cv=2).fit(CUSTOMERS, CHURNED),
    "transformed target": lambda: TransformedTargetRegressor(
        mixed(Ridge(), VALUE), func=np.log1p, inverse_func=np.expm1
    ).fit(CUSTOMERS, POSITIVE),
    "tree": lambda: mixed(DecisionTreeClassifier(max_depth=5), RISK),
    "tree regressor": lambda: mixed(DecisionTreeRegressor(max_depth=6), VALUE),
    "forest": lambda: mixed(FOREST),
    "forest of three": lambda: mixed(FOREST, RISK),
    "forest with missing values": lambda: RandomForestClassifier(10).fit(CUSTOMERS[NUMBERS], CHURNED),
    "forest regressor": lambda: mixed(RandomForestRegressor(10), VALUE),
    "extra trees": lambda: mixed(ExtraTreesClassifier(10), RISK),
    "boosting": lambda: mixed(GradientBoostingClassifier(n_estimators=10)),
    "boosting of three": lambda: mixed(GradientBoostingClassifier(n_estimators=10), RISK),
    "boosting exponential": lambda: mixed(GradientBoostingClassifier(n_estimators=10, loss="exponential")),
    "boosting regressor": lambda: mixed(GradientBoostingRegressor(n_estimators=10, loss="huber"), VALUE),
    "histograms": lambda: HistGradientBoostingClassifier(max_iter=10).fit(CUSTOMERS[NUMBERS], CHURNED),
    "histograms of three": lambda: HistGradientBoostingClassifier(max_iter=10).fit(CUSTOMERS[NUMBERS], RISK),
    "histograms poisson": lambda: HistGradientBoostingRegressor(max_iter=10, loss="poisson").fit(
        CUSTOMERS[NUMBERS], POSITIVE
    ),
    "histograms of categories": categorical,
    "histograms of ordinals": ordinal_categories,
    "isolation": lambda: IsolationForest(n_estimators=10, random_state=0).fit(COMPLETE),
    "isolation of some features": lambda: mixed(IsolationForest(n_estimators=10, max_features=0.5, contamination=0.1)),
    "ada": lambda: mixed(AdaBoostClassifier(n_estimators=10)),
    "ada of three": lambda: mixed(AdaBoostClassifier(n_estimators=10), RISK),
    "ada regressor": lambda: mixed(AdaBoostRegressor(n_estimators=10), VALUE),
    "calibrated by sigmoid": lambda: mixed(CalibratedClassifierCV(LinearSVC(), cv=3)),
    "calibrated by steps": lambda: mixed(CalibratedClassifierCV(FOREST, method="isotonic", cv=3)),
    "calibrated by steps of three": lambda: mixed(CalibratedClassifierCV(LINEAR, method="isotonic", cv=3), RISK),
    "calibrated bayes": lambda: mixed(CalibratedClassifierCV(GaussianNB(), cv=3), RISK),
    "soft votes": lambda: mixed(VotingClassifier([("a", LINEAR), ("b", FOREST)], voting="soft", weights=[1, 2]), RISK),
    "hard votes": lambda: mixed(VotingClassifier([("a", LINEAR), ("b", SVC()), ("c", FOREST)]), RISK),
    "voting regressor": lambda: mixed(VotingRegressor([("a", Ridge()), ("b", DecisionTreeRegressor())]), VALUE),
    "stack": lambda: mixed(StackingClassifier([("a", LINEAR), ("b", FOREST), ("c", SVC())], cv=3)),
    "stack of three": lambda: mixed(StackingClassifier([("a", LINEAR), ("b", FOREST)], cv=3, passthrough=True), RISK),
    "stacking regressor": lambda: mixed(
        StackingRegressor([("a", Ridge()), ("b", DecisionTreeRegressor())], cv=3), VALUE
    ),
    "bag": lambda: mixed(BaggingClassifier(n_estimators=5, max_features=0.6), RISK),
    "bag of vectors": lambda: mixed(BaggingClassifier(SVC(), n_estimators=3), RISK),
    "bagging regressor": lambda: mixed(BaggingRegressor(n_estimators=5), VALUE),
    "one against the rest": lambda: mixed(OneVsRestClassifier(LINEAR), RISK),
    "one against the rest of vectors": lambda: mixed(OneVsRestClassifier(LinearSVC()), RISK),
    "one against one": lambda: mixed(OneVsOneClassifier(LinearSVC()), RISK),
    "several linear targets": lambda: mixed(Ridge(), TWO),
    "several boosted targets": lambda: mixed(MultiOutputRegressor(GradientBoostingRegressor(n_estimators=5)), TWO),
    "several labels": lambda: mixed(MultiOutputClassifier(LINEAR), np.c_[CHURNED, RISK]),
    "a forest of several targets": lambda: mixed(RandomForestRegressor(10), TWO),
    "a forest of several labels": lambda: mixed(FOREST, np.c_[CHURNED, RISK]),
    "chain": lambda: mixed(RegressorChain(Ridge()), TWO),
    "features left out": lambda: mixed(RFE(LINEAR, n_features_to_select=5)),
    "features chosen": lambda: mixed(make_pipeline(SelectFromModel(LogisticRegression(C=0.1)), FOREST)),
    "dummy": lambda: mixed(DummyClassifier()),
    "dummy regressor": lambda: mixed(DummyRegressor(), VALUE),
}


@pytest.mark.parametrize("name", CASES)
def test_the_graph_says_what_the_library_says(name: str, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = telco.compared(CASES[name](), tmp_path)
    assert found.rows - found.refused > 40
    assert (found.changed, found.silent) == ([], [])
    assert found.worst <= 1e-6


WORDS = [
    "The quick brown Fox jumps", "over the lazy dog's back", "a fox, a DOG and 2 cats", "Straße und ÄPFEL sind größer",
    "Café crème brûlée", "don't stop believing in kick", "İstanbul is big", "日本語 テキスト 中文",
    "weird_token under_score 123 x1", "", "a b c d", "the the the the",
] * 3  # fmt: skip
ODD_WORDS = [
    "QUICK BROWN FOX", "strasse STRAẞE ÄPFEL GRÖSSER GRÖẞER", "CAFÉ CRÈME BRÛLÉE", "KICK \u212aick kic\u212a",
    "İSTANBUL ISTANBUL abİstanbul aİ İİ Dİ", "tab\tsep\nnew line fox", "x" * 5000, "fox " * 3000, "🙂fox🙂dog",
    "²³ ½ⅷ Ⅷ ①②", "cafe\u0301", "ſtop STOP", "_ __ a_", "日本語 中文", "  ", "brown the fox quick a brown",
]  # fmt: skip


@pytest.mark.parametrize(
    "step",
    [
        CountVectorizer(),
        CountVectorizer(lowercase=False, binary=True),
        TfidfVectorizer(),
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        TfidfVectorizer(stop_words="english", ngram_range=(1, 2)),
        TfidfVectorizer(stop_words=["the"], ngram_range=(2, 3), norm="l1"),
        TfidfVectorizer(token_pattern=r"(?u)\b\w+\b"),
    ],
    ids=str,
)
def test_words_are_found_and_lowered_as_python_does(step: Any, tmp_path: Path) -> None:
    labels = np.resize(["p", "q"], len(WORDS))
    original = Estimator(make_pipeline(step, LINEAR).fit(WORDS, labels), {})
    target = tmp_path / "model.onnx"
    original.convert(target)
    session, _ = telco._session(target)
    for texts in ([*WORDS, *ODD_WORDS], [""], ["fox"]):
        rows = pa.RecordBatch.from_pydict({"f0": texts})
        outputs = dict(zip([o.name for o in session.get_outputs()], session.run(None, telco.feeds(original, rows)),
                           strict=True))  # fmt: skip
        said = original.predict(rows)
        assert outputs["label"].tolist() == said["label"].tolist()
        np.testing.assert_allclose(outputs["probabilities"], said["probabilities"], rtol=1e-9)


class Doubled(LogisticRegression):
    """Code of somebody's own."""


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (lambda: mixed(KNeighborsClassifier()), "no exact conversion of KNeighborsClassifier"),
        (lambda: numeric(LINEAR, CHURNED, KNNImputer()), "no exact conversion of KNNImputer"),
        (lambda: numeric(LINEAR, CHURNED, FunctionTransformer(lambda x: x * 2)), "it is code"),
        (lambda: mixed(LINEAR, scaler=QuantileTransformer(n_quantiles=9, output_distribution="normal")), "inverse"),
        (lambda: mixed(Doubled()), "Doubled is not scikit-learn's own"),
        (lambda: mixed(DummyClassifier(strategy="stratified")), "draws at random"),
        (lambda: mixed(ClassifierChain(LINEAR, chain_method="predict_proba"), (TWO > 5).astype(int)), "chain"),
        (lambda: make_pipeline(TfidfVectorizer(analyzer="char"), LINEAR).fit(WORDS, np.resize([0, 1], 36)), "analyzer"),
        (lambda: make_pipeline(HashingVectorizer(), LINEAR).fit(WORDS, np.resize([0, 1], 36)), "HashingVectorizer"),
        (lambda: make_pipeline(CountVectorizer(token_pattern=".."), LINEAR).fit(WORDS, np.resize([0, 1], 36)), "token"),
    ],
)
def test_what_is_not_exact_says_why(model: Callable[[], Any], why: str, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        original = Estimator(model(), {})
    with pytest.raises(NotExact, match=why):
        original.convert(tmp_path / "model.onnx")


def arguments(model: Any) -> dict[str, tuple[str, str]]:
    return {one.name: (one.data_type, one.on_null) for one in Estimator(model, {}).arguments}


@pytest.mark.parametrize("marker", [None, float("nan")])
def test_none_is_a_category_to_an_imputer_of_nan(marker: float | None, tmp_path: Path) -> None:
    frame = telco.CUSTOMERS[["payment", "tenure"]].astype({"payment": object})
    frame.loc[::5, "payment"] = marker
    texts = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    columns = ColumnTransformer([("texts", texts, ["payment"])], remainder="passthrough")
    model = make_pipeline(columns, LogisticRegression(max_iter=500)).fit(frame, telco.RISK)
    found = telco.compared(model, tmp_path)
    assert not found.changed
    assert found.worst < 1e-9
    rows = pa.RecordBatch.from_pandas(frame, preserve_index=False)
    said = Estimator(model, {}).predict(rows)["probabilities"]
    np.testing.assert_array_equal(said, model.predict_proba(frame))


def test_columns_that_are_imputed_may_be_missing() -> None:
    found = arguments(mixed(LINEAR))
    assert found == {
        **dict.fromkeys(NUMBERS, ("DOUBLE", "nan")),
        **dict.fromkeys(TEXTS, ("TEXT", "nan")),
    }


def test_only_what_the_estimator_was_fitted_on_may_be_missing() -> None:
    found = arguments(own_missing_category())
    assert found["internet"] == ("TEXT", "nan")
    assert found["contract"] == ("TEXT", "null")
    assert found["senior"] == ("BIGINT", "null")


def test_columns_that_nothing_looks_at_are_no_arguments() -> None:
    columns = ColumnTransformer([("n", StandardScaler(), ["tenure"])])
    assert list(arguments(make_pipeline(columns, LINEAR).fit(CUSTOMERS, CHURNED))) == ["tenure"]


def test_arguments_without_names_are_numbered() -> None:
    assert arguments(StandardScaler().fit(np.eye(2))) == {"f0": ("DOUBLE", "nan"), "f1": ("DOUBLE", "nan")}


def test_a_native_taker_of_missing_values_takes_them() -> None:
    model = HistGradientBoostingClassifier(max_iter=2).fit(COMPLETE, CHURNED)
    assert set(arguments(model).values()) == {("DOUBLE", "nan")}
    assert set(arguments(LogisticRegression().fit(COMPLETE, CHURNED)).values()) == {("DOUBLE", "null")}
