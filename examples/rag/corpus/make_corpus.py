#!/usr/bin/env python3
"""Writes elements.md and jargon.md from two Debian packages; README.md says which and under which licence.

    apt-get download dict-elements=20001107-a-9.1 dict-jargon=4.4.7-3.1
    python3 make_corpus.py dict-elements_20001107-a-9.1_all.deb dict-jargon_4.4.7-3.1_all.deb

Python's standard library and dpkg-deb; the same bytes each time. `--check` compares with what is here instead of writing.
"""
import gzip
import hashlib
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
SHA256 = {
    "elements": "c840ae31017fca01e2d56e178b8d18ade279d24f41d7a285c6150a233f730ffa",
    "jargon": "405f8168d7994ed2cb71407bb95493daec2e9aa66fc0461dafa74a9d6728a8c1",
}
PRONUNCIATION = re.compile(r"(?://|/[^/\s][^/]*/|not|never),?\s+")
DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

# Entries of the Jargon File: between 330 and 1,150 characters, so that each is one passage, and fit for a workplace.
JARGON = """
abend;ai-complete;airplane rule;alderson loop;aliasing bug;angry fruit salad;astroturfing;atomic;attoparsec;automagically;
background;backronym;banana problem;bandwidth;baroque;batch;bathtub curve;baud;bcpl;bdfl;benchmark;big red switch;bit bang;
bit rot;black hat;black hole;black screen of death;blue box;blue goo;blue screen of death;blue wire;boat anchor;
bondage-and-discipline language;bounce message;boustrophedon;breath-of-life packet;brittle;broken arrow;brooks's law;
brute force and ignorance;bubble sort;buffer overflow;bug-compatible;burn-in period;busy-wait;byte;c;c++;camelcase;
cargo cult programming;cathedral;chad box;chernobyl packet;chiclet keyboard;chrome;cobol;code grinder;code monkey;
comment out;computer confetti;considered harmful;conway's law;cooked mode;cookie;cookie monster;copyleft;copycenter;
core wars;crash;creationism;creeping elegance;crippleware;crlf;cross-post;dangling pointer;dead code;deadbeef;demoeffect;
deprecated;dinosaur;dogcow;dogfood;dot file;dragon book;drool-proof paper;drunk mouse syndrome;dumb terminal;
dumpster diving;dusty deck;easter egg;ebcdic;ed;elegant;elevator controller;email;engine;epoch;fat electrons;
featurectomy;finagle's law;finger;firehose syndrome;firewall code;firewall machine;firmware;flag day;flash crowd;
foreground;fork;fork bomb;frankenputer;freeware;fudge factor;general public virus;gigo;glass tty;gnu;godwin's law;
golf-ball printer;gopher;gorilla arm;gray goo;great renaming;great worm;green lightning;grep;grok;guru meditation;
hack value;halloween documents;handshaking;hanlon's razor;hash bucket;hash collision;hcf;heisenbug;hello world;
holy wars;honey pot;idempotent;infant mortality;interrupt;irc;jiffy;juggling eggs;kamikaze packet;kill file;killer app;
killer micro;lan party;language lawyer;larval stage;leapfrog attack;letterbomb;life;line eater, the;line noise;lint;
lions book;little-endian;livelock;lurker;magic cookie;magic smoke;mangled name;meme;memory leak;memory smash;
microfortnight;middle-endian;millilampson;mips;molly-guard;munching squares;nanotechnology;nasal demons;
neats vs. scruffies;nethack;netlag;network meltdown;newbie;ninety-ninety rule;nmi;no-op;nuxi problem;off-by-one error;
orange book;orthogonal;out-of-band;overclock;overrun;parkinson's law of data;patch pumpkin;pdp-11;perl;
pessimizing compiler;pilot error;ping o' death;plan 9;plug-and-pray;postcardware;power cycle;provocative maintenance;
python;quadruple bucky;rain dance;raw mode;real time;recursive acronym;regexp;reinvent the wheel;retrocomputing;rootkit;
rot13;rubber-hose cryptanalysis;sandbox;sanity check;schroedinbug;screen scraping;script kiddies;scsi voodoo;
second-system effect;segmentation fault;september that never ended;shareware;shovelware;slashdot effect;smash the stack;
smoke test;smoot;snail-mail;sneakernet;social engineering;sock puppet;sorcerer's apprentice mode;spacewar;spoiler;spool;
spyware;squirrelcide;stone age;iron age;sturgeon's law;swap;syntactic sugar;syntactic salt;tanstaafl;tarball;teergrube;
thrash;thundering herd problem;tick;time bomb;toaster;toolchain;trap door;trit;trojan horse;turing tar-pit;tux;uptime;
utah teapot, the;uuoc;vadding;vanilla;version 7;vi;voodoo programming;vulcan nerve pinch;wabbit;walking drives;
wall follower;wall time;wall wart;war dialer;war-chalking;washing machine;wheel of reincarnation;winchester;wizard;
workaround;worm;wysiwyg;wysiayg;xerox parc;zawinski's law;zero-one-infinity rule;zombie;zork
"""

# The package has texts of heavier elements too, "copied from the Wikipedia": those are not in the public domain.
HEAVIEST_ELEMENT = 109
ALSO_ELEMENTS = ["neutron", "deuterium"]


def number(text):
    value = 0
    for digit in text:
        value = value * 64 + DIGITS.index(digit)
    return value


def entries(package, name):
    """Headword -> text, of a dictionary in dictd's format."""
    digest = hashlib.sha256(pathlib.Path(package).read_bytes()).hexdigest()
    if digest != SHA256[name]:
        sys.exit(f"{package}: another version of the package, sha256 {digest}")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["dpkg-deb", "--extract", package, folder], check=True)
        place = pathlib.Path(folder, "usr/share/dictd")
        data = gzip.decompress((place / f"{name}.dict.dz").read_bytes())
        found = {}
        for line in (place / f"{name}.index").read_text("utf8").splitlines():
            word, start, size = line.split("\t")[:3]
            start, size = number(start), number(size)
            found.setdefault(word, data[start : start + size].decode("utf8", "replace"))
        return found


def paragraph(text):
    text = re.sub(r"\{\s*([^{}]*?)\s*\}", r"\1", text)  # cross references
    return re.sub(r"\s+", " ", text).strip()


def elements(package):
    for text in entries(package, "elements").values():
        lines = text.strip().splitlines()
        word = lines[0].strip()
        found = re.search(r"^Atomic number: (\d+)", text, re.M)
        if not (word in ALSO_ELEMENTS or found and int(found[1]) <= HEAVIEST_ELEMENT):
            continue
        facts = [line.strip() for line in lines[1:] if re.match(r"[\w ]+: *\S*$|[\w ]+: .{1,24}$", line)]
        rest = [line for line in lines[1:] if line.strip() not in facts]
        facts = [fact for fact in facts if not fact.endswith(":")]
        yield word, f"{paragraph(', '.join(facts))}. {paragraph(' '.join(rest))}"


def jargon(package):
    found = entries(package, "jargon")
    for word in (word.strip() for word in JARGON.replace("\n", "").split(";")):
        title, _, text = found[word].strip().partition("\n")
        text = re.sub(r"\n\n    [A-Z]$", "", text.rstrip())  # the letter that the next entries begin with
        text = re.sub(r"\[(?:ansi-c|crunchly-\d|fortran|glider|\d\d-\d\d-\d\d)\].*?(?=\n\n|$)", "", text, flags=re.S)  # captions
        text = text.strip()
        while spoken := PRONUNCIATION.match(text):
            text = text[spoken.end() :]
        yield title.strip(), paragraph(text)


def document(title, about, passages):
    parts = [f"# {title}\n\n{about}\n"]
    parts += [f"## {word}\n\n{text}\n" for word, text in sorted(passages, key=lambda passage: passage[0].lower())]
    return "\n".join(parts)


def main():
    check = "--check" in sys.argv
    packages = [word for word in sys.argv[1:] if word != "--check"]
    if len(packages) != 2:
        sys.exit(__doc__)
    made = {
        "elements.md": document(
            "The elements",
            "From the Elements database by Jay F. Kominek (7 November 2000), placed in the public domain.",
            elements(packages[0]),
        ),
        "jargon.md": document(
            "From the Jargon File",
            "Entries of the Jargon File, version 4.4.7 (29 December 2003), which is in the public domain.",
            jargon(packages[1]),
        ),
    }
    for name, text in made.items():
        if not check:
            (HERE / name).write_text(text, "utf8")
        elif (HERE / name).read_text("utf8") != text:
            sys.exit(f"{name} is not what the packages give")


if __name__ == "__main__":
    main()
