"""What things are called: ImageNet's and COCO's classes by their everyday names, and what each is a kind of.

ImageNet knows a Sussex spaniel and an airliner; people ask for a dog, an animal, a plane. Every class gets the names
it may be asked by, the nearest first; plurals, synonyms and the young of animals lead to the same names.
"""

import re
from functools import lru_cache

from torchvision.models._meta import _COCO_CATEGORIES, _IMAGENET_CATEGORIES

IMAGENET: tuple[str, ...] = tuple(_IMAGENET_CATEGORIES)
COCO: tuple[str, ...] = tuple(n for n in _COCO_CATEGORIES if n not in ("__background__", "N/A"))

_PARENTS = {
    "animal": "bird fish mammal reptile amphibian insect spider scorpion jellyfish starfish crab lobster snail",
    "mammal": "dog cat fox wolf lion tiger leopard jaguar cheetah rabbit squirrel pig deer goat camel llama seal whale "
    "hippo horse cow sheep bear panda zebra giraffe elephant monkey kangaroo koala hamster",
    "wild animal": "lion tiger leopard cheetah fox wolf bear elephant zebra giraffe monkey deer hippo rhino",
    "pet": "dog cat hamster rabbit goldfish",
    "bird": "chicken rooster duck goose swan owl eagle parrot penguin pelican flamingo stork ostrich",
    "reptile": "snake lizard turtle crocodile dinosaur",
    "amphibian": "frog salamander",
    "insect": "butterfly bee ant beetle dragonfly grasshopper fly",
    "fish": "shark goldfish ray",
    "vehicle": "car truck bus van train airplane boat bicycle motorcycle tractor tank cart sled balloon spaceship",
    "boat": "ship canoe sailboat",
    "furniture": "chair couch table bed desk bench bookcase cabinet wardrobe",
    "cabinet": "wardrobe bookcase",
    "table": "desk",
    "food": "fruit vegetable pizza sandwich hamburger hotdog cake bread donut ice cream pasta soup",
    "fruit": "apple banana orange lemon strawberry pineapple pomegranate fig",
    "vegetable": "broccoli carrot cucumber cauliflower cabbage pepper corn zucchini",
    "clothing": "shirt dress suit coat jeans skirt hat sock shoe tie swimsuit sweater uniform",
    "hat": "helmet cap",
    "bag": "backpack handbag suitcase",
    "instrument": "guitar piano drum violin accordion flute saxophone trumpet harp cello",
    "computer": "laptop",
    "machine": "washing machine sewing machine dishwasher vending machine",
    "building": "church castle house barn palace mosque temple greenhouse lighthouse boathouse skyscraper",
    "weapon": "gun sword cannon",
    "plant": "flower tree",
    "water": "ocean lake beach river pool",
    "person": "man woman child boy girl baby",
    "child": "boy girl baby",
}
"""A kind, and what is of it."""

_GROUPS = """\
0-1,389-391,394-397 fish | 1 goldfish | 2-4 shark | 5-6 ray | 392-393 fish
7-24,80-100,127-146 bird | 7 rooster | 7-8 chicken | 9 ostrich | 22 eagle | 24 owl | 87-90 parrot | 97-98 duck
99 goose | 100 swan | 127-128 stork | 130 flamingo | 144 pelican | 145 penguin
25-29 salamander | 30-32 frog | 33-37 turtle | 38-48 lizard | 49-50 crocodile | 51 dinosaur | 52-68 snake
70,72-77 spider | 71 scorpion | 69,78-79,103,106,108-117,126 animal | 107 jellyfish | 113 snail | 118-121,125 crab
122-124 lobster | 101,385-386 elephant | 102,104-105,149,298-299,333-334,336-338,356-364 mammal | 104 kangaroo
105 koala | 147-148 whale | 150 seal | 151-268 dog | 269-272,274 wolf | 273,275 dog | 276 mammal | 277-280 fox
281-285 cat | 286-287,290 mammal | 288-289 leopard | 290 jaguar | 291 lion | 292 tiger | 293 cheetah | 294-297 bear
300-307 beetle | 308 fly | 309 bee | 310 ant | 311-318 insect | 311 grasshopper | 319-320 dragonfly
321-326 butterfly | 327-329 animal | 327 starfish | 330-332 rabbit | 333 hamster | 335 squirrel | 339 horse
340 zebra | 341-343 pig | 344 hippo | 345-347 cow | 348-349 sheep | 350 goat | 351-353 deer | 354 camel | 355 llama
365-384 monkey | 387-388 bear | 388 panda
404,895 airplane | 405 airship | 407 ambulance,car | 436,468,511,609,627,656,661,751,817 car | 468 taxi | 656,734 van
555,569,675,717,864,867 truck | 555 fire truck | 654,779,874 bus | 466,547,565,705,820,829 train
403,472,484,510,554,576,625,628,724,780,814,833,871,914 boat | 403,510,628,724 ship | 472 canoe
484,780,871,914 sailboat
444,671 bicycle | 870 tricycle | 880 unicycle | 665,670 motorcycle | 417 balloon | 812 spaceship | 847 tank
866,856,595 tractor | 428,575,603,612,690,791 cart | 450,537,802 sled | 803 snowplow | 408,586,757 vehicle
423,559,765,857 chair | 703 bench | 831 couch | 526 desk | 532,736 table | 520,564,516,431 bed | 453 bookcase
493,495,648 cabinet | 894 wardrobe | 527,590,681 computer | 620 laptop | 508,878 keyboard | 673 mouse | 664,782 screen
487,528,707 phone | 851 tv | 409,530,892 clock | 531 watch | 732,759 camera | 650 microphone | 632 speaker
402,546 guitar | 579,881 piano | 541 drum | 889 violin | 486 cello | 401 accordion | 558 flute | 776 saxophone
513,566,875 trumpet | 594 harp | 420,432,593,642,683,687,699 instrument
429-430,522,574,722,768,805,852,890 ball | 429 baseball | 430 basketball | 574 golf ball | 768 rugby ball
805 soccer ball | 852 tennis ball | 890 volleyball | 752 racket | 795 ski | 416,602,702 gymnastics
439,452,515,808 hat | 518,560 helmet | 433,793 cap | 836-837 sunglasses | 578,601 dress | 834 suit
568,617,869 coat | 610 shirt | 474,841 sweater | 502,514,630,770,774 shoe | 445,638-639,842 swimsuit | 806 sock
608 jeans | 655,689 skirt | 451,457,906 tie | 652 uniform | 411 apron | 643,570 mask | 679 necklace | 903 wig
414 backpack | 748 handbag | 636,728 bag | 440,720,737,898,907 bottle | 504,968 cup | 441,572 glass
659,809 bowl | 923 plate | 910 spoon | 567,909 pan | 521,738 pot | 505,849 teapot | 499,623 knife | 883 vase
760 refrigerator | 827 stove | 859 toaster | 651 microwave | 534 dishwasher | 897 washing machine | 882 vacuum cleaner
896 sink | 435,876 bathtub | 861 toilet | 721 pillow | 846,619 lamp | 470 candle | 454,917,921 book | 879 umbrella
850 teddy bear | 417 balloon | 562 fountain | 497 church | 483 castle | 425 barn | 698 palace | 668 mosque
663,832 temple | 580 greenhouse | 437 lighthouse | 449 boathouse | 663,915,624 building | 821,839,888 bridge
900 tower | 489,716,912 fence | 825 wall | 672 tent | 843 swing | 476 carousel | 919 sign | 920 traffic light
704 parking meter | 413,763-764 gun | 471 cannon | 557 flag | 701 parachute | 693 paddle | 536,718 pier
977-978 beach | 975 lake | 970,972,980 mountain | 979 valley | 973-974 water | 977-978,973 ocean
981-983 person | 981 baseball player | 982 groom | 983 diver | 982 man | 985 daisy | 984-986 flower | 990,988 nut
991-993,994-997,947 mushroom | 987,998 corn | 931,930 bread | 932 pretzel | 933 hamburger | 934 hotdog | 963 pizza
928-929 ice cream | 927,960 cake | 959 pasta | 925-926 soup | 924,935,961-962,964-965,969 food | 965 sandwich
936 cabbage | 937 broccoli | 938 cauliflower | 939 zucchini | 940-942 squash | 943 cucumber | 944,946 vegetable
945 pepper | 948 apple | 949 strawberry | 950 orange | 951 lemon | 952 fig | 953 pineapple | 954 banana
955-956 fruit | 957 pomegranate | 966 wine | 967 coffee | 958 hay | 999 toilet paper"""

_SAME = """\
dog: doggy puppy pup hound terrier canine poodle doggie mutt
cat: kitten kitty feline
horse: pony foal stallion mare
cow: bull ox calf cattle buffalo bison
sheep: lamb
pig: hog piglet boar
chicken: hen
rooster: cock
duck: drake duckling
bird: birdie seagull gull pigeon
monkey: ape chimpanzee gorilla chimp baboon orangutan
rabbit: bunny hare
bicycle: bike cycle cyclist
motorcycle: motorbike scooter moped
car: automobile sedan auto cab jeep
truck: lorry pickup
airplane: plane aeroplane jet airliner aircraft
boat: rowboat raft vessel
ship: ferry
train: locomotive tram
couch: sofa settee
tv: television telly monitor
phone: cellphone telephone mobile smartphone
person: people human somebody someone anyone anybody persons
man: men guy male gentleman
woman: women lady female
child: kid kids children toddler
baby: infant
boy: boys
girl: girls
sunglasses: shades
glass: wineglass
cup: mug
ocean: sea
beach: shore seashore seaside
mountain: hill cliff mountains
forest: woods
flower: blossom rose
hat: beanie
hamburger: burger cheeseburger
hotdog: frankfurter
donut: doughnut
sweater: sweatshirt jumper pullover hoodie
shoe: sneaker boot sandal shoes
clothing: clothes
refrigerator: fridge
handbag: purse
bag: sack
gun: rifle pistol revolver
picture: photo photograph image
building: skyscraper
ball: football
tree: trees palm
food: meal
plant: bush"""

_COCO_NAMES = {
    "bicycle": "bicycle", "motorcycle": "motorcycle", "airplane": "airplane", "dining table": "table",
    "potted plant": "plant", "hot dog": "hotdog", "cell phone": "phone", "sports ball": "ball", "wine glass": "glass",
    "baseball glove": "glove", "tennis racket": "racket", "hair drier": "hair dryer", "skis": "ski",
}  # fmt: skip
"""COCO's own names where an everyday one is shorter."""
_IRREGULAR = {
    "men": "man", "women": "woman", "people": "person", "children": "child", "kids": "child", "mice": "mouse",
    "geese": "goose", "wolves": "wolf", "knives": "knife", "leaves": "leaf", "shelves": "shelf", "feet": "foot",
    "teeth": "tooth", "babies": "baby", "sheep": "sheep", "fish": "fish", "skis": "ski", "glasses": "glasses",
    "sunglasses": "sunglasses", "jeans": "jeans", "shorts": "shorts", "pants": "pants", "buses": "bus",
    "ladies": "lady", "grass": "grass", "oxen": "ox", "calves": "calf", "scissors": "scissors", "clothes": "clothing",
}  # fmt: skip


def singular(word: str) -> str:
    """A noun in its singular, by rule of thumb and a list of the irregular ones."""
    word = word.lower()
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("ches", "shes", "sses", "xes", "zes")):
        return word[:-2]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


@lru_cache(maxsize=1)
def _synonyms() -> dict[str, str]:
    table = dict[str, str]()
    for line in _SAME.splitlines():
        name, _, others = line.partition(":")
        table |= dict.fromkeys(others.split(), name)
    return table


def canonical(noun: str) -> str:
    """The name a noun goes by here: in the singular, and the commoner of synonyms. `puppies` -> `dog`."""
    words = noun.lower().split()
    if not words:
        return ""
    name = " ".join([*words[:-1], singular(words[-1])])
    synonyms = _synonyms()
    if name in synonyms or noun.lower() in synonyms:
        return synonyms.get(noun.lower(), synonyms.get(name, name))
    return name


@lru_cache(maxsize=4096)
def kinds_of(name: str) -> frozenset[str]:
    """Everything a thing of that name is, itself included: `dog` is a dog, a mammal, a pet and an animal."""
    found, waiting = set[str](), [name]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += [kind for kind, members in _members().items() if one in members]
    return frozenset(found)


def all_kinds() -> tuple[str, ...]:
    """Every name that others are a kind of: animal, vehicle, furniture and so on."""
    return tuple(_PARENTS)


@lru_cache(maxsize=1)
def _members() -> dict[str, frozenset[str]]:
    two = re.compile(r"ice cream|washing machine|sewing machine|vending machine")
    return {kind: frozenset([*two.findall(text), *two.sub(" ", text).split()]) for kind, text in _PARENTS.items()}


@lru_cache(maxsize=1)
def imagenet_names() -> tuple[tuple[str, ...], ...]:
    """Of each of ImageNet's classes the names it may be asked by, its own first, then the everyday ones."""
    names = [[name.lower()] for name in IMAGENET]
    for entry in re.split(r"\||\n", _GROUPS):
        places, _, kinds = entry.strip().partition(" ")
        for span in places.split(","):
            first, _, last = span.partition("-")
            for i in range(int(first), int(last or first) + 1):
                names[i] += [kind.strip() for kind in kinds.split(",")]
    return tuple(tuple(dict.fromkeys(some)) for some in names)


@lru_cache(maxsize=1)
def coco_names() -> tuple[str, ...]:
    """COCO's eighty classes by their everyday names."""
    return tuple(_COCO_NAMES.get(name, name) for name in COCO)


@lru_cache(maxsize=1)
def common_names() -> frozenset[str]:
    """The everyday names of ImageNet's and COCO's classes: no name of a breed, a tool or a shop."""
    return frozenset({name for some in imagenet_names() for name in some[1:]} | set(coco_names()))


@lru_cache(maxsize=1024)
def imagenet_classes(name: str) -> tuple[int, ...]:
    """The classes whose things are called that, or are of that kind."""
    return tuple(i for i, some in enumerate(imagenet_names()) if any(name in kinds_of(one) for one in some))


@lru_cache(maxsize=1024)
def coco_classes(name: str) -> tuple[int, ...]:
    """The same of COCO's classes."""
    return tuple(i for i, one in enumerate(coco_names()) if name in kinds_of(one))


def everyday(i: int) -> str:
    """The everyday name of one of ImageNet's classes, as specific as people are: a dog, not a Sussex spaniel."""
    some = imagenet_names()[i]
    return some[1] if len(some) > 1 else some[0]
