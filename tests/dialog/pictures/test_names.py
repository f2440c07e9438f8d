from dialog.pictures.names import (
    COCO,
    IMAGENET,
    canonical,
    coco_classes,
    coco_names,
    everyday,
    imagenet_classes,
    imagenet_names,
    kinds_of,
    singular,
)


def test_a_puppy_is_a_dog_and_a_dog_is_an_animal() -> None:
    assert canonical("puppies") == canonical("Dog") == "dog"
    assert {"dog", "animal", "pet", "mammal"} <= kinds_of(canonical("puppy"))
    assert "bird" not in kinds_of("dog")


def test_every_class_of_imagenet_has_its_own_name_and_every_dog_is_one() -> None:
    assert len(imagenet_names()) == len(IMAGENET) == 1000
    assert imagenet_names()[IMAGENET.index("golden retriever")][:2] == ("golden retriever", "dog")
    dogs = imagenet_classes("dog")
    assert 115 <= len(dogs) <= 125
    assert set(dogs) < set(imagenet_classes("animal"))
    assert everyday(IMAGENET.index("airliner")) == "airplane"


def test_the_table_names_only_classes_that_are_meant() -> None:
    """Spot checks at the edges of the ranges it is written in."""
    pairs = {"tench": "fish", "hen": "chicken", "king penguin": "penguin", "Egyptian cat": "cat",
             "ice bear": "bear", "zebra": "zebra", "pickup": "truck", "school bus": "bus", "daisy": "flower",
             "Granny Smith": "apple", "seashore": "beach", "scuba diver": "person", "pug": "dog"}  # fmt: skip
    for name, kind in pairs.items():
        assert kind in {k for n in imagenet_names()[IMAGENET.index(name)] for k in kinds_of(n)}, name
    assert "dog" not in {k for n in imagenet_names()[IMAGENET.index("timber wolf")] for k in kinds_of(n)}


def test_cocos_classes_are_found_by_everyday_names_and_kinds() -> None:
    assert len(COCO) == len(coco_names()) == 80
    assert coco_classes(canonical("sofa")) == (COCO.index("couch"),)
    assert {COCO[i] for i in coco_classes("vehicle")} >= {"car", "bus", "boat", "airplane"}
    assert coco_classes("triangle") == ()


def test_plurals() -> None:
    assert [singular(w) for w in ("dogs", "women", "buses", "ponies", "grass", "sunglasses", "bus")] == [
        "dog", "woman", "bus", "pony", "grass", "sunglasses", "bus",
    ]  # fmt: skip
