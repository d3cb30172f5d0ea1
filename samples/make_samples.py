"""Make everything in this folder again: `python samples/make_samples.py`.

Nothing is drawn from chance or from the clock, so a second run changes no byte (with the same Pillow and
typst). All bodies, people and places are invented: the area codes begin with 99, which no place in China has,
and the check characters are computed, so the codes pass every check and belong to nobody.
"""

from __future__ import annotations

import csv
import json
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import typst
from PIL import Image, ImageDraw, ImageFilter

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from issuer.rendering.fonts import typst_fonts  # noqa: E402 - the checkout is found by the line above
from trust.model.parties import (  # noqa: E402
    identity_check_character,
    organisation_check_character,
    uscc_check_character,
)

LONG_ADDRESS = (
    "云岭彝族傣族自治县滇水镇人民中路与环湖东路交叉口东南侧一百二十米春城国际会展与冷链物流综合产业园二期工程"
    "第十七号楼裙楼负一层至地上三层（含夹层）B1-08、B1-09、L1-01至L1-26号商铺及附属库房"
)
RARE_BODY = "㐂𠮷堂（云岭彝族傣族自治县）国际餐饮文化传播与冷链食品集团股份有限公司第十七分公司"


def uscc(register: str, area: str, body: str) -> str:
    inner = register + area + body + organisation_check_character(body)
    return inner + uscc_check_character(inner)


def identity(born: date, sequence: int, area: str = "990101") -> str:
    body = f"{area}{born:%Y%m%d}{sequence:03d}"
    return body + identity_check_character(body)


# People and places -----------------------------------------------------------------------------------------

PEOPLE = [
    "张示例", "李样本", "王测试", "赵演示", "欧阳示范", "阿依古丽·示例", "司马样", "㐂小样", "𠮷测试", "扎西·样本次仁",
    "Maria Beispiel", "陈例", "买买提江·阿卜杜示例·努尔", "林样张", "Jean-Pierre Échantillon", "和样品",
]  # fmt: skip
STREETS = ["春城市滇水区示例路", "春城市云山区样本街", "云岭县测试镇演示路", "云岭县样张镇湖滨街"]


def person(i: int) -> str:
    return PEOPLE[i % len(PEOPLE)]


def address(i: int) -> str:
    if i % 9 == 4:
        return "云岭省" + LONG_ADDRESS
    return f"云岭省{STREETS[i % len(STREETS)]}{11 + 7 * i}号{i % 5 + 1}幢{100 * (i % 6 + 1) + i % 9 + 1}室"


def day(i: int) -> date:
    return date(2025, 1, 6) + timedelta(days=9 * i)


def spelled(when: date, style: int) -> str:
    """Departments export dates in all three spellings."""
    zh = f"{when.year}年{when.month}月{when.day}日"
    return (when.isoformat(), when.strftime("%Y/%m/%d"), zh)[style % 3]


def years_on(start: date, years: int) -> date:
    return start.replace(year=start.year + years) - timedelta(days=1)


# Records ---------------------------------------------------------------------------------------------------


def food_rows() -> list[dict[str, str]]:
    trades = ["百味餐饮管理", "云上米线", "滇湖食品商贸", "小样烘焙", "示例生鲜配送", "样本团餐服务"]
    forms = [
        ("餐饮服务经营者", "热食类食品制售；冷食类食品制售；自制饮品制售"),
        ("餐饮服务经营者（小餐饮）", "热食类食品制售"),
        (
            "食品销售经营者",
            "预包装食品（含冷藏冷冻食品）销售；散装食品（含熟食）销售；特殊食品销售（保健食品）",
        ),
        (
            "餐饮服务经营者（中型餐馆）",
            "热食类食品制售；冷食类食品制售；生食类食品制售；糕点类食品制售（含裱花蛋糕）",
        ),
        ("集中用餐单位食堂", "热食类食品制售；冷食类食品制售"),
        ("集体用餐配送单位", "热食类食品制售；预包装食品（不含冷藏冷冻食品）销售"),
    ]
    rows = []
    for i in range(24):
        form, items = forms[i % len(forms)]
        name = (
            RARE_BODY
            if i == 7
            else f"春城{trades[i % len(trades)]}{'第' + str(i) + '店' if i > 5 else '有限公司'}"
        )
        rows.append(
            {
                "许可证编号": f"JY{2 if '餐' in form else 1}990101{i + 1:07d}"[:16],
                "经营者名称": name,
                "统一社会信用代码": uscc(
                    "92" if i > 5 and i != 7 else "91", "990101", f"MA6K{1001 + 37 * i:04d}"
                ),
                "法定代表人（负责人）": person(i),
                "住所": address(i),
                "经营场所": address(i + 9) if i % 9 == 4 else address(i),
                "主体业态": form,
                "经营项目": items,
                "有效期自": spelled(day(i), i),
                "有效期至": spelled(years_on(day(i), 5), i) if i % 4 else "",
                "签发日期": spelled(day(i), i),
                "日常监督管理机构": "滇水区市场监督管理所" if i % 3 else "",
                "投诉举报电话": "12315",
            }
        )
    return rows


def road_rows() -> list[dict[str, str]]:
    scopes = [
        "道路普通货物运输",
        "道路普通货物运输；货物专用运输（冷藏保鲜）；大型物件运输（一类）",
        "县际班车客运；市际包车客运",
        "县内班车客运；县际班车客运；市际班车客运；省际班车客运；县内包车客运；县际包车客运；市际包车客运；省际包车客运；"
        "道路普通货物运输；货物专用运输（集装箱）；货物专用运输（罐式容器）；危险货物运输（3类、8类）（剧毒化学品除外）",
    ]
    rows = []
    for i in range(16):
        name, code, kind = (
            f"云岭县示例第{i + 1}物流有限公司",
            uscc("91", "990121", f"MA6N{2003 + 41 * i:04d}"),
            "001",
        )
        if i == 5:  # two operators hold the permit together
            name = "㐂𠮷（云岭）国际多式联运有限公司；云岭县样本长途客运联合经营有限公司"
            code += "；" + uscc("91", "990121", "MA6N9A1B")
            kind = "001；001"
        elif i == 9:
            name = "|".join(
                ["云岭县甲样运输队", "云岭县乙样运输队", "Beispiel Überland-Transport (Yunling) GmbH"]
            )
            code = "|".join(uscc("91", "990121", f"MA6N8C{n}D") for n in (1, 2, 3))
            kind = ""
        elif i == 12:  # one person with a lorry
            name, code, kind = "买买提江·阿卜杜示例", identity(date(1981, 4, 17), 113), "公民身份号码"
        start = day(i + 2)
        rows.append(
            {
                "permit_number": f"云交运管许可岭字9901210{i + 1:05d}号",
                "holder_name": name,
                "holder_code_type": kind,
                "holder_code": code,
                "person_in_charge": person(i + 3),
                "address": address(i),
                "economic_nature": "个体工商户" if i == 12 else ("有限责任公司" if i % 3 else ""),
                "business_scope": scopes[i % len(scopes)],
                "valid_from": spelled(start, i),
                "valid_until": spelled(years_on(start, 4), i),
                "issued_on": spelled(start, i),
            }
        )
    return rows


def medical_rows() -> list[dict[str, str]]:
    scopes = ["内科专业", "外科专业", "儿科专业；全科医学专业", "口腔专业", "中医专业", "公共卫生类别专业",
              "内科专业；急救医学专业；重症医学科专业（含心血管、呼吸、神经重症监护）"]  # fmt: skip
    rows = []
    for i in range(14):
        born = date(1968 + 2 * i, i % 12 + 1, i % 27 + 1)
        code, kind, name = identity(born, 100 + i), "", person(i)
        if name.isascii() or "É" in name:
            code, kind = f"X0EXAMPLE{i:02d}", "普通护照"
        scope = scopes[i % len(scopes)]
        category = {"口": "口腔", "中": "中医", "公": "公共卫生"}.get(scope[0], "临床")
        rows.append(
            {
                "执业证书编码": f"{110 + i % 3}9901{i:08d}",
                "姓名": name,
                "性别": "男" if i % 2 else "女",
                "出生日期": spelled(born, i),
                "证件类型": kind,
                "证件号码": code,
                "医师资格证书编码": f"2012{110 + i % 3}9901{i:013d}"[:24],
                "医师级别": "执业助理医师" if i % 6 == 5 else "执业医师",
                "执业类别": category,
                "执业范围": scope,
                "主要执业机构": (
                    "㐂𠮷（春城）国际医疗中心暨云岭彝族傣族自治县民族医药研究院附属综合医院"
                    if i == 6
                    else f"春城市第{'一二三四五六七八九十'[i % 10]}示例医院"
                ),
                "执业地点": "云岭省",
                "批准日期": spelled(day(i), i),
                "有效期至": spelled(years_on(day(i), 5), i) if kind else "长期",
                "签发日期": spelled(day(i) + timedelta(days=1), i),
                "照片": f"photos/medpr-{i + 1:02d}.jpg",
            }
        )
    return rows


def approval_rows() -> list[dict[str, str]]:
    projects = ["滇湖北岸湿地生态修复工程", "示例大道改造工程", "样本河防洪治理工程", "云山区第二示范小学新建项目",
                "云岭彝族傣族自治县㐂𠮷河流域山水林田湖草沙一体化保护和系统治理工程（二期）"]  # fmt: skip
    rows = []
    for i in range(10):
        project, start = projects[i % len(projects)], day(i + 5)
        stage = "初步设计" if i < 5 else "可行性研究报告"
        name, code = (
            f"春城市示例工程建设管理中心第{i + 1}处",
            uscc("12", "990101", f"MB9W{1101 + 13 * i:04d}"),
        )
        if i % 5 == 4:
            name += "；云岭彝族傣族自治县㐂𠮷河流域综合治理工程建设管理中心；滇水样本生态投资建设集团有限公司"
            code += f"；{uscc('12', '990121', f'MB9W77{10 + i}')}；{uscc('91', '990101', f'MA6N66{10 + i}')}"
        body = [
            f"你单位报送的《关于审批{project}{stage}的请示》收悉。根据专家评审意见，经研究，现批复如下：",
            f"一、原则同意{project}{stage}。工程建设期{12 + i}个月，建设内容和规模按评审后的文本执行。",
            f"二、工程总投资核定为{3200 + 415 * i:,}万元，资金来源为市级财政资金和项目单位自筹。",
            "三、请严格按照批复的建设内容和规模组织实施，落实环境保护、水土保持和安全生产各项要求，"
            "未经批准不得擅自变更建设地点、规模和标准，工程完工后按规定办理竣工验收。",
        ]
        if i % 5 == 4:
            numbers = "四五六七八"
            duty = (
                "有关乡镇应当配合做好征地、拆迁和群众工作，对涉及的文物、古树名木逐一登记，制定保护方案并报县级主管部门备案；"
                "汛期施工应当编制度汛方案，落实值守人员和抢险物资。"
            )
            body += [f"{n}、{duty}" for n in numbers]
        rows.append(
            {
                "document_number": f"春发改审批〔2025〕{18 + i}号",
                "title": f"关于{project}{stage}的批复",
                "holder_name": name,
                "holder_code": code,
                "project_code": f"2501-990100-04-01-{100200 + 77 * i}" if i % 3 else "",
                "body": "\n".join(body),
                "annexes": "工程概算核定表；审批部门招标核准意见" if i % 2 else "",
                "copies_to": "市财政局；市生态环境局；市水务局" if i % 4 else "",
                "valid_until": "长期" if i % 3 == 0 else spelled(years_on(start, 3), i),
                "issued_on": spelled(start, i),
            }
        )
    return rows


def bad_rows() -> list[dict[str, str]]:
    """Good food rows with one thing spoiled in each; README.md says what and why."""
    spoilt: list[tuple[str, str]] = [
        ("统一社会信用代码", "swap the check character"),
        ("统一社会信用代码", "swap the inner check character"),
        ("统一社会信用代码", "91990101MAOI1001XX"),
        ("法定代表人（负责人）", ""),
        ("经营场所", LONG_ADDRESS * 2),
        ("签发日期", "2025-02-30"),
        ("签发日期", "2199-01-01"),
        ("有效期至", "2049-12-31"),
        ("有效期至", "长期"),
        ("主体业态", "流动摊贩"),
        ("许可证编号", "食2025-0001"),
        ("经营者名称", "春城𪚥样餐饮有限公司"),
        ("经营场所", "云岭省春城市示例路\u200b1号"),
        ("投诉举报电话", "请拨打热线"),
    ]
    rows = []
    for row, (column, value) in zip(food_rows(), spoilt, strict=False):
        code = row["统一社会信用代码"]
        if value == "swap the check character":
            value = code[:17] + ("0" if code[17] != "0" else "1")
        elif value == "swap the inner check character":
            inner = code[:16] + str((int(code[16], 36) + 1) % 10)
            value = inner + uscc_check_character(inner)
        rows.append(row | {column: value})
    return rows


# Files -----------------------------------------------------------------------------------------------------


def write_csv(name: str, rows: list[dict[str, str]]) -> None:
    with (HERE / name).open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def draw_portrait(index: int) -> Image.Image:
    """A face that nobody has: a shape, two dots and a line."""
    skins = [(241, 207, 176), (222, 180, 146), (198, 150, 114), (247, 220, 196)]
    hairs = [(42, 38, 40), (74, 52, 40), (110, 110, 116), (28, 28, 34)]
    coats = [(238, 243, 247), (214, 229, 240), (226, 238, 230)]
    skin, hair, coat = skins[index % 4], hairs[index // 2 % 4], coats[index % 3]
    big = Image.new("RGB", (720, 1008), (176 + index * 3 % 30, 203, 226))
    draw = ImageDraw.Draw(big)
    long_hair = index % 2 == 0
    if long_hair:
        draw.rounded_rectangle((190, 240, 530, 720), 150, fill=hair)
    draw.rounded_rectangle((90, 730, 630, 1200), 170, fill=coat)
    draw.polygon([(290, 735), (360, 900), (430, 735)], fill=(96, 136, 172))
    draw.rounded_rectangle((300, 600, 420, 790), 50, fill=tuple(int(v * 0.93) for v in skin))
    draw.ellipse((212, 250, 508, 680), fill=skin)
    draw.pieslice((200, 205, 520, 610), 180, 360, fill=hair)
    draw.ellipse((232, 350 + index % 3 * 8, 488, 560), fill=skin)
    for x in (305, 415):
        draw.ellipse((x - 13, 445, x + 13, 473), fill=(46, 40, 44))
    if index % 3 == 1:
        for x in (305, 415):
            draw.ellipse((x - 48, 412, x + 48, 506), outline=(70, 70, 80), width=7)
        draw.line((353, 455, 367, 455), fill=(70, 70, 80), width=7)
    draw.line((360, 480, 352, 540, 368, 545), fill=tuple(int(v * 0.85) for v in skin), width=7)
    draw.arc((310, 540, 410, 610), 25, 155, fill=(176, 84, 84), width=9)
    return big.filter(ImageFilter.GaussianBlur(1)).resize((360, 504), Image.Resampling.LANCZOS)


def write_ready_made() -> None:
    """PDFs as a department has them before there is any seal, with what the importer must know beside each.

    They are laid out from the Typst sources beside them."""
    letter_code, table_code = uscc("12", "990101", "MB9W1101"), uscc("91", "990121", "MA6N7T01")
    letter = {
        "type": "APPROVAL",
        "fields": {
            "document_number": "春发改审批〔2025〕61号",
            "title": "关于示例大道临时施工围挡的批复",
            "holder_name": "春城市示例工程建设管理中心第一处",
            "holder_code": letter_code,
            "body": "同意在示例大道样本街至演示路段设置临时施工围挡，长度不超过420米，期限至2027年3月31日。",
            "valid_until": "2027-03-31",
            "issued_on": "2025-06-16",
        },
        "place": {"page": -1, "seal_mm": [147, 72]},
    }
    table = {
        "type": "ROADTP",
        "fields": {
            "permit_number": "云交运管许可岭字990121000901号",
            "holder_name": "云岭县样表运输有限公司",
            "holder_code": table_code,
            "person_in_charge": "林样张",
            "address": "云岭省云岭县测试镇演示路9号",
            "economic_nature": "有限责任公司",
            "business_scope": ["道路普通货物运输", "货物专用运输（冷藏保鲜）"],
            "valid_from": "2025-07-01",
            "valid_until": "2029-06-30",
            "issued_on": "2025-07-01",
        },
        "place": {"page": -1, "seal_mm": [149, 98]},
    }
    made = int(datetime(2025, 6, 16, tzinfo=UTC).timestamp())
    for name, sidecar in (("approval-letter", letter), ("road-permit-table", table)):
        source = (HERE / "pdf" / f"{name}.typ").read_bytes()
        pdf = typst.compile(source, font_paths=typst_fonts(), ignore_system_fonts=True, timestamp=made)
        (HERE / "pdf" / f"{name}.pdf").write_bytes(pdf)
        text = json.dumps(sidecar, ensure_ascii=False, indent=2) + "\n"
        (HERE / "pdf" / f"{name}.json").write_text(text, encoding="utf-8")


def main() -> None:
    write_csv("food.csv", food_rows())
    write_csv("roadtp.csv", road_rows())
    write_csv("medpr.csv", medical_rows())
    write_csv("approval.csv", approval_rows())
    write_csv("bad-rows.csv", bad_rows())
    (HERE / "photos").mkdir(exist_ok=True)
    for index in range(len(medical_rows())):
        draw_portrait(index).save(
            HERE / "photos" / f"medpr-{index + 1:02d}.jpg", "JPEG", quality=82, optimize=True
        )
    write_ready_made()


if __name__ == "__main__":
    main()
