"""The table of units: what each measures, how large it is, and how it is spelled.

Prefixed units of the International System are made from their bases; other languages name the
units that word problems use.
"""

from __future__ import annotations

from fractions import Fraction

from potstill.grading.maths.symbols import MONEY

__all__ = ["DIMENSION", "JOINED_ONLY", "LANGUAGES", "PROSE", "SCALE", "UNIT"]

# Units that problems in prose are asked in. Only these are looked for in a problem's text.
_COMMON: dict[str, dict[str, str]] = {
    "length": {
        "inch": "inch inches in",
        "foot": "foot feet ft",
        "yard": "yard yards yd yds",
        "mile": "mile miles mi",
        "millimeter": "millimeter millimeters millimetre millimetres mm",
        "centimeter": "centimeter centimeters centimetre centimetres cm cms",
        "meter": "meter meters metre metres m",
        "kilometer": "kilometer kilometers kilometre kilometres km kms",
        "unit": "unit units",
    },
    "time": {
        "second": "second seconds sec secs s",
        "minute": "minute minutes min mins",
        "hour": "hour hours hr hrs h",
        "day": "day days",
        "week": "week weeks wk wks",
        "month": "month months mos mths",
        "year": "year years yr yrs",
    },
    "mass": {
        "milligram": "milligram milligrams mg",
        "gram": "gram grams g",
        "kilogram": "kilogram kilograms kg kgs kilo kilos",
        "ton": "ton tons tonne tonnes",
        "ounce": "ounce ounces oz",
        "pound": "pound pounds lb lbs",
    },
    "length^3": {
        "milliliter": "milliliter milliliters millilitre millilitres ml mL",
        "liter": "liter liters litre litres L",
        "gallon": "gallon gallons gal gals",
        "quart": "quart quarts qt qts",
        "pint": "pint pints",
        "cup": "cup cups",
    },
    "money": {
        "dollar": f"dollar dollars usd USD bucks {MONEY}",
        "cent": "cent cents ¢",
        "euro": "euro euros € EUR",
        "sterling": "£ GBP",
        "rupee": "rupee rupees ₹ Rs",
        "yen": "yen ¥ JPY",
    },
    "angle": {
        "degree": "degree degrees deg °",
        "radian": "radian radians rad rads",
        "revolution": "revolution revolutions",
    },
    "percent": {"percent": "percent percentage % pct", "percentage point": ""},
    "length/time": {"mile/hour": "mph", "kilometer/hour": "kph kmh kmph"},
    "calorie energy": {"calorie": "calorie calories"},
    "temperature": {"celsius": "°C celsius Celsius", "fahrenheit": "°F fahrenheit Fahrenheit"},
}
# Units of the sciences: bases that take prefixes, by symbol and name.
_BASES: dict[str, tuple[str, str, str]] = {
    "meter": ("length", "m", "meter metre"),
    "gram": ("mass", "g", "gram gramme"),
    "second": ("time", "s", "second"),
    "liter": ("length^3", "L l", "liter litre"),
    "mole": ("amount", "mol", "mole"),
    "joule": ("mass*length^2/time^2", "J", "joule"),
    "newton": ("mass*length/time^2", "N", "newton"),
    "watt": ("mass*length^2/time^3", "W", "watt"),
    "volt": ("voltage", "V", "volt"),
    "ampere": ("current", "A", "ampere amp"),
    "kelvin": ("temperature", "K", "kelvin"),
    "pascal": ("mass/length/time^2", "Pa", "pascal"),
    "hertz": ("/time", "Hz", "hertz"),
    "coulomb": ("charge", "C", "coulomb"),
    "farad": ("capacitance", "F", "farad"),
    "ohm": ("resistance", "Ω", "ohm"),
    "tesla": ("field", "T", "tesla"),
    "weber": ("flux", "Wb", "weber"),
    "henry": ("inductance", "H", "henry"),
    "electronvolt": ("electron energy", "eV", "electronvolt"),
    "calorie": ("calorie energy", "cal", "calorie"),
    "bar": ("bar pressure", "bar", "bar"),
    "becquerel": ("activity", "Bq", "becquerel"),
    "sievert": ("dose", "Sv", "sievert"),
    "byte": ("data", "B", "byte"),
    "bit": ("bits", "bit", "bit"),
}
_PREFIXES = {
    "pico": ("p", -12), "nano": ("n", -9), "micro": ("μ", -6), "milli": ("m", -3),
    "centi": ("c", -2), "deci": ("d", -1), "hecto": ("h", 2), "kilo": ("k", 3),
    "mega": ("M", 6), "giga": ("G", 9), "tera": ("T", 12),
}  # fmt: skip
# The size of a base beside gram, meter and second, where it is made of them.
_BASE_SIZES: dict[str, int | Fraction] = {
    "joule": 1000, "newton": 1000, "watt": 1000, "pascal": 1000, "liter": Fraction(1, 1000),
}  # fmt: skip
# Symbols that would be read for something else: a time of day, a product, a word.
_NOT_SYMBOLS = """
pm am cd dB hs ks cs ds Ms Gs Ts mB cB nB pB hm hg dg cg bits mbit h in min
"""
_NEVER = frozenset(_NOT_SYMBOLS.split())
_OTHERS: dict[str, dict[str, str]] = {
    "erg energy": {"erg": "erg ergs"},
    "dyne force": {"dyne": "dyn dyne dynes"},
    "atmosphere pressure": {"atmosphere": "atm atmosphere atmospheres"},
    "torr pressure": {"torr": "torr Torr mmHg"},
    "psi pressure": {"psi": "psi"},
    "horsepower": {"horsepower": "hp horsepower"},
    "length": {
        "angstrom": "Å angstrom angstroms Angstrom",
        "light-year": "ly lightyear lightyears light-year light-years",
        "parsec": "pc parsec parsecs",
        "astronomical unit": "AU",
    },
    "atomic mass": {"dalton": "u amu Da dalton daltons"},
    "area": {"acre": "acre acres", "hectare": "ha hectare hectares"},
    "knots": {"knot": "knot knots kt kts kn"},
    "turning": {"rpm": "rpm"},
    "amount/length^3": {"molar": "M", "millimolar": "mM", "micromolar": "μM"},
    "share": {"ppm": "ppm", "ppb": "ppb"},
    "gauss field": {"gauss": "gauss Gauss"},
    "luminance": {"lumen": "lumen lumens", "lux": "lux", "candela": "candela candelas"},
    "level": {"decibel": "decibel decibels"},
    "money": {
        "yuan": "yuan RMB CNY 元 块 人民币", "peso": "peso pesos", "real": "reais R",
        "ruble": "ruble rubles рублей руб", "franc": "franc francs CHF", "won": "won 원",
    },
}  # fmt: skip
LANGUAGES: dict[str, str] = {
    "second": "Sekunde Sekunden seconde secondes segundo segundos secondo secondi секунд "
    "секунды 秒 초",
    "minute": "Minute Minuten minuto minutos minuti минут минуты 分钟 分鐘 分 분",
    "hour": "Stunde Stunden Std heure heures hora horas ora ore час часа часов 小时 小時 時間 시간",
    "day": "Tag Tage Tagen jour jours día días dia dias giorno giorni день дня дней 天 日 일",
    "week": "Woche Wochen semaine semaines semana semanas settimana settimane недель 周 星期 주",
    "month": "Monat Monate Monaten mois mes meses mese mesi месяцев 个月 ヶ月",
    "year": "Jahr Jahre Jahren ans année années año años ano anos anno anni лет год года "
    "年 岁 年间",
    "meter": "Meter Metern mètre mètres metro metros metri метр метра метров м 米 公尺 "
    "メートル 미터",
    "kilometer": "Kilometer kilomètre kilomètres kilómetro kilómetros quilômetros chilometri "
    "км километров 公里 千米 キロメートル 킬로미터",
    "centimeter": "Zentimeter centimètre centimètres centímetro centímetros centimetri см "
    "сантиметров 厘米 公分 センチメートル 센티미터",
    "millimeter": "Millimeter millimètres milímetros millimetri мм 毫米",
    "gram": "Gramm gramme grammes gramo gramos gramas grammi г грамм граммов 克 グラム 그램",
    "kilogram": "Kilogramm kilogrammes kilogramo kilogramos quilogramas chilogrammi кг "
    "килограммов 千克 公斤 キログラム 킬로그램",
    "liter": "Liter Litern litro litros litri л литр литра литров 升 リットル 리터",
    "milliliter": "毫升",
    "dollar": "Dollar dólar dólares dollari долларов 美元 ドル 달러",
    "euro": "Euro евро 欧元",
    "yen": "円 日元",
    "degree": "Grad degré degrés grado grados graus gradi градусов 度 도",
    "percent": "Prozent Procent pourcent porcentaje процентов процента パーセント 퍼센트",
}
_SIZES = {
    "inch": "0.0254", "foot": "0.3048", "yard": "0.9144", "mile": "1609.344", "meter": "1",
    "second": "1", "minute": "60", "hour": "3600", "day": "86400", "week": "604800",
    "gram": "1", "ounce": "28.349523125", "pound": "453.59237",
    "gallon": "0.003785411784", "quart": "0.000946352946", "pint": "0.000473176473",
    "dollar": "100", "cent": "1", "molar": "1000", "millimolar": "1", "micromolar": "0.001",
}  # fmt: skip


def _spelled(table: dict[str, dict[str, str]]) -> dict[str, str]:
    return {
        spelling: unit
        for units in table.values()
        for unit, spellings in units.items()
        for spelling in spellings.split()
    }


def _prefixed() -> dict[str, tuple[str, str, Fraction]]:
    """Return spelling to unit, dimension and size of every base with every prefix."""
    found: dict[str, tuple[str, str, Fraction]] = {}
    for base, (dimension, symbols, names) in _BASES.items():
        one = Fraction(_BASE_SIZES.get(base, 1))
        found |= dict.fromkeys(symbols.split(), (base, dimension, one))
        for name in names.split():
            found[name] = found[name + "s"] = (base, dimension, one)
        for prefix, (sign, power) in _PREFIXES.items():
            size = one * Fraction(10) ** power
            letters = (sign, "u") if sign == "μ" else (sign,)
            symbol_list = [letter + s for letter in letters for s in symbols.split()]
            for spelling in symbol_list + [prefix + n for n in names.split()]:
                if spelling not in _NEVER and not (spelling[0] == "u" and len(spelling) < 2):
                    found[spelling] = (prefix + base, dimension, size)
            for name in names.split():
                found[prefix + name + "s"] = (prefix + base, dimension, size)
    return found


# Symbols side by side without a sign between them.
_JOINED = {
    "Nm": "meter*newton", "kNm": "kilonewton*meter", "kWh": "hour*kilowatt", "Wh": "hour*watt",
    "MWh": "hour*megawatt", "Ah": "ampere*hour", "mAh": "hour*milliampere", "Js": "joule*second",
    "Pas": "pascal*second", "mps": "meter/second", "fps": "foot/second",
}  # fmt: skip
_made = _prefixed()
UNIT: dict[str, str] = {spelling: unit for spelling, (unit, _, _) in _made.items()}
UNIT |= _spelled(_OTHERS) | {s: u for u, names in LANGUAGES.items() for s in names.split()}
UNIT |= _spelled(_COMMON) | _JOINED
DIMENSION: dict[str, str] = {unit: dimension for unit, dimension, _ in _made.values()}
DIMENSION |= {
    unit: name for table in (_OTHERS, _COMMON) for name, us in table.items() for unit in us
}
SCALE: dict[str, Fraction] = {unit: size for unit, _, size in _made.values()}
SCALE |= {unit: Fraction(size) for unit, size in _SIZES.items()}
# Symbols that are a unit beside others alone: a lone M may be a million or a letter.
JOINED_ONLY = frozenset(["M"])
# What a problem's prose may call a unit; a lone letter or "in" is none there.
PROSE: dict[str, str] = _spelled(_COMMON)
