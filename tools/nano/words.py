"""Word pools, made-up words and the train/test split of the house model's data.

Owns: every list of words that the generators share, and `held_out`, the one rule that says which values, keys and operand pairs
belong to the held-out items. Called by all gen_*.py. Standard library only; no state besides the caller's random.Random.
"""
import hashlib

HELD_OUT_PERCENT = 12


def held_out(text):
    """True when `text` belongs to the test split: a fixed hash, so that the split never depends on order or seed."""
    return int.from_bytes(hashlib.sha256(("bantam-nano/" + text).encode()).digest()[:4], "big") % 100 < HELD_OUT_PERCENT


def pick(rng, make, split, tag=""):
    """Draws from make(rng) until the value falls into `split` ("train" or "test"); `tag` keeps the kinds of value apart."""
    for _ in range(200):
        value = make(rng)
        if held_out(tag + str(value)) == (split == "test"):
            break
    return value  # a pool too small to have the wanted side serves both


FIRST = """Maria Anna Peter Jonas Lena Omar Aisha Ravi Priya Chen Mei Yuki Kenji Sofia Mateo Lucas Emma Noah Olivia Liam Nora Hugo Clara
Felix Ida Oscar Greta Ivan Olga Pavel Nina Samir Leila Tariq Zara Kofi Ama Kwame Abena Diego Elena Marco Giulia Paolo Chiara Pierre Camille
Luc Amelie Hans Ingrid Lars Astrid Erik Freya Sven Maja Tom Alice Ben Carol David Eve Frank Grace Henry Iris Jack Kate Leo Mona Nick Paula
Quinn Rosa Sam Tina Uma Victor Wendy Xenia Yara Zoe Adam Bella Carl Dora Edgar Fiona George Helen Isaac Julia Karl Laura Martin Nadia
Otto Petra Ralf Sara Theo Ulla Vera Walter""".split()
LAST = """Lind Berg Holm Nowak Kim Park Tanaka Sato Silva Costa Rossi Bianchi Moreau Dubois Weber Fischer Wagner Becker Smith Jones
Brown Taylor Clark Hall Young King Wright Green Baker Adams Nelson Carter Mitchell Turner Phillips Campbell Parker Evans Edwards Collins
Stewart Morris Rogers Reed Cook Morgan Bell Murphy Bailey Cooper Richard Cox Howard Ward Peterson Gray James Watson Brooks Kelly Sanders
Price Bennett Wood Barnes Ross Patel Shah Khan Ali Hassan Mensah Okafor Diallo Lopez Garcia Torres Flores Rivera Gomez Diaz Cruz Ortiz""".split()
CITIES = """Oslo Paris Berlin Madrid Lisbon Rome Vienna Prague Warsaw Budapest Athens Dublin London Leeds Glasgow Cardiff Bergen Malmo Turku
Tallinn Riga Vilnius Kyiv Lviv Zagreb Split Sofia Varna Ankara Izmir Cairo Tunis Rabat Lagos Accra Nairobi Kampala Lusaka Durban Tokyo Osaka
Kyoto Seoul Busan Beijing Shanghai Taipei Hanoi Bangkok Jakarta Manila Delhi Mumbai Chennai Pune Lahore Karachi Dhaka Colombo Perth Sydney
Melbourne Auckland Toronto Montreal Calgary Boston Chicago Denver Dallas Houston Austin Seattle Portland Miami Atlanta Lima Quito Bogota
Santiago Cordoba Salta Recife Natal Geneva Basel Zurich Bern Graz Linz Porto Braga Seville Malaga Valencia Bilbao Turin Milan Naples Ghent
Bruges Antwerp Utrecht Delft Leiden Aarhus Odense""".split()
COUNTRIES = """Norway France Germany Spain Portugal Italy Austria Poland Greece Ireland Sweden Finland Estonia Latvia Ukraine Croatia Turkey
Egypt Morocco Nigeria Ghana Kenya Uganda Zambia Japan Korea China Vietnam Thailand India Pakistan Australia Canada Peru Chile Brazil
Argentina Belgium Denmark Iceland""".split()
COLORS = "red blue green yellow white black brown grey orange purple pink silver golden dark pale bright".split()
JOBS = """baker teacher nurse pilot farmer painter doctor driver cook lawyer plumber gardener writer singer tailor carpenter librarian
engineer dentist fisherman builder clerk mechanic waiter photographer florist translator librarian chemist guard""".split()
ANIMALS = "cat dog horse fox owl hen bantam duck goat sheep cow rabbit mouse bear wolf deer swan crow robin trout salmon bee frog".split()
THINGS = """lamp chair table book clock knife basket bottle box bucket candle carpet coat cup desk door drum engine flag garden gate glass
guitar hammer hat jacket jar kettle key ladder letter map mirror needle oven paper pen pencil phone piano picture pillow pipe plate pot
radio ring rope ruler scarf screw shelf shirt shoe soap sofa spoon stamp stone stove suitcase sweater tent ticket towel tray umbrella vase
violin wagon wallet watch wheel window wire bicycle boat bridge cable camera cart chain helmet keyboard monitor printer tablet battery
charger router speaker blanket bench""".split()
FOODS = """bread butter cheese apples pears plums grapes rice beans soup salad pasta eggs milk tea coffee honey cake pie cookies carrots
onions potatoes tomatoes mushrooms olives lemons oranges nuts fish""".split()
PLACES = """market harbour station library museum school office garden kitchen workshop hospital theatre square bakery hotel airport factory
farm church park castle mill valley village forest mountain river lake beach island cellar attic garage stable warehouse laboratory
lighthouse""".split()
MONTHS = "January February March April May June July August September October November December".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
ADJECTIVES = """old new small large quiet busy warm cold early late heavy light narrow wide clean dusty empty full famous simple strange
broken wooden heavy round soft sharp gentle modern local main spare north south east west upper lower inner outer front back second third
last next first former shared private public hidden secret daily weekly annual""".split()
ADVERBS = "slowly quickly quietly carefully often rarely always usually finally suddenly together alone early again".split()
VERBS_PAST = """carried opened closed cleaned repaired painted moved sold bought found lost washed counted checked borrowed returned
admired measured ordered packed delivered replaced noticed forgot remembered watched described drew photographed collected""".split()
LANGUAGES = "French German Spanish Italian Portuguese Dutch Swedish Norwegian Danish Finnish Polish Czech Greek Turkish Arabic Hindi Japanese Korean Chinese English".split()
CURRENCIES = "USD EUR GBP JPY CHF SEK NOK DKK PLN CZK INR CNY KRW BRL CAD AUD".split()
_ONSET = "b c d f g h j k l m n p r s t v w z br dr gr kr tr st sk sl pl fl th sh ch".split()
_VOWEL = "a e i o u ai ei ou ea".split()
_CODA = ["", "", "", "n", "r", "l", "s", "t", "k", "m", "nd", "rt", "x"]


def madeup(rng, capital=True):
    """A pronounceable word that is in no list: keeps the model copying instead of remembering."""
    word = "".join(rng.choice(_ONSET) + rng.choice(_VOWEL) + rng.choice(_CODA) for _ in range(rng.choice((2, 2, 2, 3))))
    return word.capitalize() if capital else word


def person(rng):
    last = madeup(rng) if rng.random() < 0.3 else rng.choice(LAST)
    return rng.choice(FIRST) + " " + last


def city(rng):
    return madeup(rng) if rng.random() < 0.25 else rng.choice(CITIES)


def code(rng):
    letters = "".join(rng.choice("ABCDEFGHJKLMNPQRSTUVWXYZ") for _ in range(rng.choice((1, 2, 2, 3))))
    return letters + rng.choice(("-", "-", "")) + str(rng.randint(10, 9999))


def date(rng):
    return "%d %s" % (rng.randint(1, 28), rng.choice(MONTHS))


def clock(rng):
    return "%02d:%02d" % (rng.randint(0, 23), rng.choice((0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55)))


def email(rng):
    return "%s@%s.%s" % (rng.choice(FIRST).lower(), madeup(rng, False), rng.choice(("com", "org", "net")))


def number(rng):
    return rng.randint(10, 10 ** rng.choice((2, 3, 4, 5)) - 1)


def item(rng):
    return (rng.choice(COLORS + ADJECTIVES) + " " if rng.random() < 0.5 else "") + rng.choice(THINGS)
