from ui.scores import columns, figure, headline, spoken


def test_scores_may_stand_alone_or_under_the_name_of_a_data_set() -> None:
    assert headline({"weighted_f1": 64.25, "ece": 0.0191, "seeds": 3}) == [
        ("", [("weighted_f1", "64.2"), ("ece", "0.019")])
    ]
    assert headline({"validation": {"accuracy": 70, "live_accuracy": 69.0}, "note": "x"}) == [
        ("validation", [("accuracy", "70.0")])
    ]


def test_scores_on_test_parts_are_shown_in_place_of_others() -> None:
    scores = {
        "validation": {"accuracy": 70.0},
        "test": {"MELD": {"accuracy": 63.5, "ece": 0.02}, "ECF": {"positive_f1": 64.9}},
        "baselines": {"majority": {"accuracy": 31.0}},
    }
    found = headline(scores)
    assert found == [("MELD", [("accuracy", "63.5"), ("ece", "0.020")]), ("ECF", [("positive_f1", "64.9")])]
    assert headline({"test": {"accuracy": 63.5}}) == [("test", [("accuracy", "63.5")])]
    metrics, rows = columns(found)
    assert metrics == ["positive_f1", "accuracy", "ece"]
    assert rows == [("MELD", ["", "63.5", "0.020"]), ("ECF", ["64.9", "", ""])]
    assert [spoken(m) for m in metrics] == ["positive F1", "accuracy", "calibration error"]


def test_a_model_without_scores_shows_none() -> None:
    assert headline({}) == []
    assert headline({"accuracy": True, "test": {"accuracy": None}}) == []


def test_a_figure_is_short() -> None:
    assert (figure(71.6234), figure(0.01913), figure(0)) == ("71.6", "0.019", "0.000")
