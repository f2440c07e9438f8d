from ui.scores import figure, headline


def test_scores_may_stand_alone_or_under_the_name_of_a_data_set() -> None:
    assert headline({"weighted_f1": 64.25, "ece": 0.0191, "seeds": 3}) == [
        ("", [("weighted_f1", "64.2"), ("ece", "0.019")])
    ]
    assert headline({"validation": {"accuracy": 70, "live_accuracy": 69.0}, "note": "x"}) == [
        ("validation", [("accuracy", "70.0")])
    ]


def test_a_model_without_scores_shows_none() -> None:
    assert headline({}) == []
    assert headline({"accuracy": True, "test": {"accuracy": None}}) == []


def test_a_figure_is_short() -> None:
    assert (figure(71.6234), figure(0.01913), figure(0)) == ("71.6", "0.019", "0.000")
