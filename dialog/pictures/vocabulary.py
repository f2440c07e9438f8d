"""What may be answered to questions of a kind: animals, rooms, sports, places, clothes, things done, and how to say
each as a sentence that a picture can fit."""

import re

_ANIMALS_TEXT = """\
dog cat horse cow sheep pig goat deer bird duck goose swan chicken rooster owl eagle parrot penguin
pelican flamingo stork ostrich fish shark goldfish ray snake lizard turtle crocodile frog salamander
butterfly bee ant beetle dragonfly grasshopper spider scorpion crab lobster snail jellyfish starfish
bear panda lion tiger leopard jaguar cheetah fox wolf rabbit squirrel hamster monkey elephant zebra
giraffe hippo camel llama kangaroo koala seal whale dinosaur"""
ANIMALS = _ANIMALS_TEXT.split()
_PEOPLE_TEXT = """\
man woman boy girl child baby person people"""
PEOPLE = _PEOPLE_TEXT.split()
MAIN_THINGS = ("bicycle", "car", "boat", "train", "motorcycle", "airplane", "building", "statue", "flower")
"""What a picture may be of beside people and animals, where no class is sure."""
ROOMS = (
    "bedroom",
    "bathroom",
    "kitchen",
    "living room",
    "dining room",
    "office",
    "classroom",
    "library",
    "restaurant",
    "gym",
    "store",
    "hallway",
    "garage",
    "church",
)
ROOM_THINGS = {
    "bedroom": "bed pillow",
    "bathroom": "toilet sink bathtub shower",
    "kitchen": "oven refrigerator stove microwave sink",
    "living room": "couch tv",
    "dining room": "table chair",
    "office": "computer desk keyboard laptop",
    "classroom": "blackboard desk",
    "library": "bookcase book",
    "restaurant": "restaurant menu",
    "gym": "gymnastics",
    "store": "store shop",
    "church": "church altar",
}
SPORTS = {
    "basketball": "people playing basketball",
    "baseball": "people playing baseball",
    "football": "people playing american football",
    "soccer": "people playing soccer",
    "tennis": "a person playing tennis",
    "cricket": "a man playing cricket with a cricket bat",
    "hockey": "people playing ice hockey",
    "volleyball": "people playing volleyball",
    "rugby": "people playing rugby",
    "golf": "a person playing golf",
    "skiing": "a person skiing on snow",
    "snowboarding": "a person on a snowboard",
    "surfing": "a person surfing on a wave",
    "swimming": "a person swimming in a pool",
    "skateboarding": "a person on a skateboard",
    "cycling": "people racing on bicycles",
    "running": "people running a race",
    "boxing": "two people boxing",
    "wrestling": "two people wrestling",
    "climbing": "a person climbing a rock wall",
    "motocross": "a person on a dirt bike",
    "gymnastics": "a gymnast",
    "karate": "people doing karate",
    "horse racing": "jockeys racing on horses",
    "dog racing": "a greyhound racing on a track",
    "diving": "a person diving into water",
    "kayaking": "a person in a kayak",
    "water skiing": "a person water skiing",
    "ice skating": "a person ice skating",
    "lacrosse": "people playing lacrosse",
}
GAMES = (
    *("basketball", "baseball", "football", "soccer", "tennis", "cricket", "hockey", "volleyball", "rugby", "golf"),
    *("lacrosse", "karate", "gymnastics"),
)
"""Of the sports those that are played or done as one: nobody plays two at once."""
PLACES = {
    "on the beach": "a photo of a beach",
    "in the water": "people in the water",
    "in a swimming pool": "a photo of a swimming pool",
    "in the snow": "a photo of snow",
    "on a street": "a photo of a city street",
    "on a sidewalk": "people on a sidewalk",
    "in a park": "a photo of a park",
    "in a field": "a photo of a field",
    "on the grass": "a photo of green grass",
    "in a forest": "a photo of a forest",
    "on a mountain": "a photo of a mountain",
    "in a desert": "a photo of a sandy desert",
    "in a kitchen": "a photo of a kitchen",
    "in a bedroom": "a photo of a bedroom",
    "in a bathroom": "a photo of a bathroom",
    "in a living room": "a photo of a living room",
    "in a restaurant": "a photo of a restaurant",
    "on a stage": "a person on a stage",
    "in a stadium": "a photo of a stadium",
    "on a playground": "a photo of a playground",
    "in a yard": "a photo of a backyard",
    "on a road": "a photo of a road",
    "on a skateboard ramp": "a photo of a skateboard ramp",
    "on a race track": "a photo of a race track",
    "in a store": "a photo of a store",
    "in an office": "a photo of an office",
    "on a boat": "people on a boat",
    "by a lake": "a photo of a lake",
    "by a river": "a photo of a river",
    "on rocks": "a photo of rocks",
    "in a building": "people inside a building",
    "in front of a building": "people in front of a building",
    "on a couch": "sitting on a couch",
    "on a bed": "lying on a bed",
    "in a garden": "a photo of a garden",
    "in the air": "in the air high above",
    "at a table": "people sitting at a table",
    "on a basketball court": "a basketball court",
    "on a bench": "sitting on a bench",
    "in a crowd": "a crowd of people",
    "at a train station": "a platform of a train station",
    "at an airport": "an airport",
    "on a sports field": "a sports field with players",
    "in a gym": "people in a gym",
    "in a church": "the inside of a church",
    "in a library": "shelves of books in a library",
    "in a market": "a market with stalls",
    "on stairs": "people on stairs",
    "on a bridge": "people on a bridge",
    "under water": "a photo taken under water",
    "at a zoo": "an animal in a zoo",
}
PLACE_THINGS = {
    **{f"in {'an' if room[0] in 'aeiou' else 'a'} {room}": things for room, things in ROOM_THINGS.items()},
    "at a train station": "train", "at an airport": "airplane", "on a boat": "boat", "on a bridge": "bridge",
}  # fmt: skip
"""What must be there for somebody to be at a place; of others nothing must."""
_CLOTHES_TEXT = """\
shirt jacket coat dress hat cap helmet shorts jeans sweater uniform vest suit skirt swimsuit bikini
costume sunglasses glasses hoodie jersey kimono robe tie scarf gloves boots goggles t-shirt pants
bandana apron headband"""
CLOTHES = _CLOTHES_TEXT.split()
_ON_HEADS_TEXT = """\
hat cap helmet hood scarf bandana headband wig sunglasses crown"""
ON_HEADS = _ON_HEADS_TEXT.split()
OBJECTS = {
    "riding": "bicycle motorcycle horse skateboard surfboard scooter bus train boat elephant camel snowboard "
    "wave wagon cart sled",
    "playing": "guitar piano drum violin accordion flute saxophone trumpet basketball baseball football soccer tennis "
    "volleyball hockey rugby cricket frisbee ball golf cards game instrument",
    "eating": "ice cream|cake|pizza|apple|sandwich|hotdog|banana|food|hamburger|bread|lunch|watermelon|candy|corn",
    "drinking": "water coffee beer wine juice milk soda tea",
    "driving": "car truck bus tractor motorcycle go-kart boat",
    "holding": "ball bat stick camera phone cup bottle umbrella book bag guitar flag rope toy microphone frisbee "
    "racket baby fish knife spoon sign balloon flower cigarette",
}
OBJECTS |= {
    "climbing": "rock wall tree ladder stairs mountain fence rope cliff",
    "chasing": "ball frisbee dog stick bird cat sheep toy",
    "pulling": "sled cart wagon rope stick dog boat",
    "pushing": "stroller cart bicycle swing wagon car",
    "kicking": "ball",
    "reading": "book newspaper magazine map sign",
    "jumping over": "fence hurdle bar log pole wave rock puddle",
    "mouth": "ball stick frisbee toy bone pacifier food fish bird",
    "using": OBJECTS["holding"] + " computer laptop",
    "throwing": "ball frisbee stick rock",
    "catching": "ball frisbee fish",
    "carrying": OBJECTS["holding"] + " backpack surfboard",
}
SURFACES = (
    *("floor", "ground", "grass", "bench", "couch", "chair", "bed", "table", "rock", "sand", "snow", "stairs", "wall"),
    *("sidewalk", "lap", "shoulders"),
)
"""What people and animals sit and lie on; of RIDDEN only where there is one."""
RIDDEN = ("horse", "bicycle", "motorcycle", "plate", "surfboard", "skateboard")
WEATHER = {
    "sunny": "a bright sunny day",
    "cloudy": "a cloudy grey sky",
    "rainy": "people in the rain with umbrellas",
    "snowy": "a snowy winter day",
    "foggy": "fog",
}
RARE = {"rainy": 1.5, "foggy": 1.5, "snowy": 0.5}
"""By how much, in log-odds, some weather is seldomer photographed than sun and clouds."""
SEASONS = {
    "summer": "a hot summer day",
    "winter": "snow in winter",
    "autumn": "autumn leaves",
    "spring": "spring flowers",
}
INDOORS = ("a photo of a room inside a house", "people inside a building", "an indoor scene", "a photo taken indoors")
OUTDOORS = (
    "a photo taken outdoors",
    "an outdoor scene under the sky",
    "people outside in nature",
    "grass, trees, a street or a beach",
)
DAY = ("a photo taken in bright daylight", "a sunny day outside")
NIGHT = ("a photo taken at night in the dark", "lights in the darkness at night")
CLOUDY = ("a cloudy grey sky", "clouds in the sky")
OPPOSITES = {
    "indoors": INDOORS,
    "inside": INDOORS,
    "indoor": INDOORS,
    "outdoors": OUTDOORS,
    "outside": OUTDOORS,
    "outdoor": OUTDOORS,
    "day": DAY,
    "daytime": DAY,
    "daylight": DAY,
    "light": DAY,
    "bright": DAY,
    "night": NIGHT,
    "nighttime": NIGHT,
    "dark": NIGHT,
    "sunny": ("a bright sunny day",),
    "cloudy": CLOUDY,
    "overcast": CLOUDY,
    "sunset": ("a sunset",),
    "raining": ("people in the rain with umbrellas",),
    "rainy": ("rain and umbrellas",),
    "snowing": ("snow falling",),
    "cold": ("people in winter coats", "snow and ice on a cold day"),
    "warm": ("people in summer clothes", "a warm sunny day"),
    "crying": ("a crying child",),
    "summer": ("a warm summer day",),
    "winter": ("snow in winter",),
}
"""Words for how it is, by the sentences that say so."""
SHOWN = {"raining": "rain", "rainy": "rain", "snowing": "snow", "snowy": "snow"}
"""What must be seen for weather to be so that is asked for."""
AGAINST = {INDOORS: OUTDOORS, OUTDOORS: INDOORS, DAY: NIGHT, NIGHT: DAY}
AGAINST |= {CLOUDY: ("a clear blue sky",), OPPOSITES["sunset"]: ("a photo taken at noon",)}
AGAINST |= {OPPOSITES["cold"]: OPPOSITES["warm"], OPPOSITES["warm"]: OPPOSITES["cold"]}
AGAINST |= {OPPOSITES["crying"]: ("a smiling child",)}
AGAINST |= {OPPOSITES[wet]: OPPOSITES["sunny"] for wet in ("raining", "rainy", "snowing")}
_NOT_DONE = """\
during clothing building wearing wedding evening morning railing ceiling string spring king ring thing something nothing
boxing swing wing looking holding using being having going sing including surrounding flooring parking painting duckling
dining bring crossing opening landing doing"""
NOT_DONE = frozenset(_NOT_DONE.split())
_NOUNS_TEXT = """\
man woman boy girl child baby person crowd grass snow sand water rock tree field street road wall window
door fence shirt jacket hat helmet ball frisbee skateboard surfboard bicycle motorcycle car truck bus
train boat horse dog cat bird cow sheep bench chair table bed couch tv computer phone camera guitar
stick rope toy leash collar pool beach ocean wave mountain hill cliff forest flower leaf bridge building
house stairs sidewalk bag backpack umbrella sunglasses glasses dress jeans shorts uniform swimsuit sign
flag light fire smoke ice snowboard ski sled swing slide playground stage microphone book cup bottle
glass plate food cake knife basketball football baseball soccer tennis racket bat net goal track ramp
rail tent kayak airplane clock lamp pillow sink toilet mirror elephant lion monkey butterfly fish turtle
duck flamingo crab piano violin chandelier watch scissors"""
NOUNS = _NOUNS_TEXT.split()
"""Things people name in captions and questions: what presence is learned on."""


def sentence(word: str) -> str:
    """A thing as the sentence of a picture that shows it."""
    return f"a photo of {'an' if re.match('[aeiou]', word) else 'a'} {word}"
