# SPDX-License-Identifier: LGPL-2.1-or-later
"""test_reasons.py owns the proof that the reasons of a refusal are the same words, with the same
PAM codes, in the code, in README.md and in the manuals."""
import pathlib
import re

TREE = pathlib.Path(__file__).resolve().parents[2]


def text_of(*parts):
    return TREE.joinpath(*parts).read_text(encoding="utf-8")


def words_of_the_code():
    """The name in the enum of each word, in the order of the table."""
    table = re.search(r"words\[\] = \{\n(.*?)^\};", text_of("certmapd", "protocol", "reason.c"),
                      re.M | re.S).group(1)
    return dict(re.findall(r'^\t\[(REASON_\w+)\] = "([a-z-]+)",$', table, re.M))


def names_of_the_enum():
    body = re.search(r"^enum reason \{\n(.*?)^\};", text_of("certmapd", "protocol", "reason.h"),
                     re.M | re.S).group(1)
    return re.findall(r"^\t(REASON_\w+)\b", body, re.M)


def codes_of_the_module():
    """The PAM code of each reason in verdict_authenticate(), by the reason's word."""
    body = re.search(r"^int verdict_authenticate.*?^}", text_of("pam_certmap", "verdict.c"),
                     re.M | re.S).group(0)
    words, codes, open_cases = words_of_the_code(), {}, []
    for case, code in re.findall(r"\bcase (REASON_\w+):|\breturn (PAM_\w+);", body):
        if case:
            open_cases.append(words[case])
        else:
            codes.update((word, code) for word in open_cases)
            open_cases = []
    return codes


def rows_of_the_readme():
    section = re.search(r"^## Why a login was refused\n(.*?)^## ", text_of("README.md"),
                        re.M | re.S).group(1)
    return [(word, code) for words, code in re.findall(r"^\| (`.*?) \| (\w+) \|", section, re.M)
            for word in re.findall(r"`([a-z-]+)`", words)]


def items_of_the_manual():
    """The pairs of a word and a PAM code in the list of REASONS, as the manual groups them."""
    section = re.search(r"^\.Sh REASONS\n(.*?)^\.Sh ", text_of("pam_certmap", "pam_certmap.8"),
                        re.M | re.S).group(1)
    pairs = []
    for item in section.split(".It Dv ")[1:]:
        # What a type of the stack does otherwise is a sentence of its own.
        main = re.split(r"^The account type", item, flags=re.M)[0]
        pairs += [(word, main.split()[0]) for word in re.findall(r"^\.Em ([a-z-]+)", main, re.M)]
    return pairs


def test_every_reason_has_a_word_of_its_own():
    words = words_of_the_code()
    assert list(words) == names_of_the_enum()
    assert len(set(words.values())) == len(words) > 20


def test_every_reason_has_its_pam_code():
    assert set(codes_of_the_module()) == set(words_of_the_code().values())


def test_only_allowed_is_a_success_and_nothing_is_ignored():
    codes = codes_of_the_module()
    assert [word for word, code in codes.items() if code == "PAM_SUCCESS"] == ["allowed"]
    assert "PAM_IGNORE" not in codes.values()


def test_the_readme_has_each_reason_once_with_its_code():
    rows, codes = rows_of_the_readme(), codes_of_the_module()
    del codes["unknown"]
    assert len(rows) == len(dict(rows))
    assert dict(rows) == codes


def test_the_readme_has_them_in_the_order_of_the_gates():
    words = [word for word in words_of_the_code().values() if word != "unknown"]
    assert [word for word, _ in rows_of_the_readme()] == words


def test_the_manual_has_each_reason_once_with_its_code():
    items, codes = items_of_the_manual(), codes_of_the_module()
    del codes["unknown"]
    assert len(items) == len(dict(items))
    assert dict(items) == codes


def test_certmap_7_has_each_reason_once_with_its_code_in_the_order_of_the_gates():
    section = re.search(r"^\.Sh REASONS\n(.*?)^\.Sh ", text_of("certmapd", "certmap.7"),
                        re.M | re.S).group(1)
    items, codes = re.findall(r"^\.It Em ([a-z-]+) Pq Dv (\w+)$", section, re.M), codes_of_the_module()
    words = [word for word in words_of_the_code().values() if word != "unknown"]
    assert items == [(word, codes[word]) for word in words]
