"""The demo shop's 400 products: 8 departments, 40 shelves, 5 things on each in 2 finishes, named in English and Chinese.

Prices are in CNY. `return_rate` is the shelf's true share of returned lines, the number a return model should find.
"""

from dataclasses import dataclass
from decimal import Decimal

import numpy as np


@dataclass(frozen=True, slots=True)
class Shelf:
    """One leaf of the category tree. things and finishes are (English, Chinese) pairs."""

    slug: str
    names: tuple[str, str]
    low: int
    high: int
    return_rate: float
    finishes: tuple[tuple[str, str], tuple[str, str]]
    things: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Department:
    slug: str
    names: tuple[str, str]
    shelves: tuple[Shelf, ...]


@dataclass(frozen=True, slots=True)
class DemoProduct:
    """One product of the demo shop. `quality` in [-1, 1] is hidden and shows in reviews; `price` is in CNY."""

    index: int
    external_id: str
    names: dict[str, str]
    department: int
    shelf: int
    shelf_slug: str
    finish: int
    price: Decimal
    quality: float
    return_rate: float
    is_available: bool


def _shelf(slug: str, en: str, zh: str, low: int, high: int, return_rate: float, finishes: str, things: str) -> Shelf:
    first, second = (_pair(text) for text in finishes.split(";"))
    return Shelf(slug, (en, zh), low, high, return_rate, (first, second), tuple(_pair(text) for text in things.split(";")))


def _pair(text: str) -> tuple[str, str]:
    english, chinese = text.strip().split("|")
    return english.strip(), chinese.strip()


DEPARTMENTS: tuple[Department, ...] = (
    Department("tea", ("Tea", "茶叶"), (
        _shelf("tea/green", "Green tea", "绿茶", 68, 320, 0.01, "Spring|明前;Everyday|日常", "Longjing|龙井;Biluochun|碧螺春;Maojian|毛尖;Sencha|煎茶;Jasmine green|茉莉绿茶"),
        _shelf("tea/oolong", "Oolong", "乌龙茶", 78, 380, 0.01, "Light roast|清香;Dark roast|浓香", "Tieguanyin|铁观音;Dahongpao|大红袍;Dancong|单丛;Baozhong|包种;Milk oolong|奶香乌龙"),
        _shelf("tea/black", "Black tea", "红茶", 58, 260, 0.01, "Loose leaf|散装;Gift tin|礼罐", "Keemun|祁门红茶;Dianhong|滇红;Lapsang|正山小种;Assam|阿萨姆;Earl Grey|伯爵红茶"),
        _shelf("tea/puer", "Pu'er and white", "普洱与白茶", 88, 520, 0.01, "Aged|陈年;Young|新茶", "Ripe pu'er cake|熟普茶饼;Raw pu'er cake|生普茶饼;Silver needle|白毫银针;White peony|白牡丹;Mini tuo|迷你沱茶"),
        _shelf("tea/herbal", "Herbal", "花草茶", 38, 120, 0.01, "Classic|经典;Organic|有机", "Chrysanthemum|菊花茶;Rose bud|玫瑰花茶;Chamomile|洋甘菊茶;Barley|大麦茶;Ginger date|姜枣茶"),
    )),
    Department("teaware", ("Teaware", "茶具"), (
        _shelf("teaware/pots", "Teapots", "茶壶", 128, 680, 0.05, "Clay|紫砂;Porcelain|白瓷", "Round teapot|圆壶;Tall teapot|高壶;Side-handle pot|侧把壶;Travel pot|旅行壶;Two-cup pot|双人壶"),
        _shelf("teaware/cups", "Cups", "茶杯", 38, 220, 0.06, "Celadon|青瓷;Stoneware|粗陶", "Tasting cup|品茗杯;Lidded mug|盖杯;Latte cup|拿铁杯;Guest cup set|客杯套装;Double-wall cup|双层杯"),
        _shelf("teaware/kettles", "Kettles", "烧水壶", 168, 720, 0.04, "Matte black|哑光黑;Brushed steel|拉丝钢", "Gooseneck kettle|细口壶;Electric kettle|电热水壶;Stovetop kettle|明火壶;Temperature kettle|控温壶;Glass kettle|玻璃壶"),
        _shelf("teaware/trays", "Trays and tools", "茶盘茶具", 48, 420, 0.03, "Bamboo|竹制;Walnut|胡桃木", "Tea tray|茶盘;Tea scoop set|茶则套装;Tea caddy|茶叶罐;Cup rack|杯架;Coaster set|杯垫套装"),
        _shelf("teaware/strainers", "Strainers", "茶漏", 18, 98, 0.02, "Fine mesh|细网;Wide rim|宽沿", "Steel strainer|不锈钢茶漏;Basket infuser|茶篮;Ball infuser|泡茶球;Cold brew filter|冷泡滤芯;Sharing jug|公道杯"),
    )),
    Department("kitchen", ("Kitchen", "厨房"), (
        _shelf("kitchen/pans", "Pans", "锅具", 158, 880, 0.05, "Cast iron|铸铁;Ceramic|陶瓷", "Frying pan|煎锅;Wok|炒锅;Stew pot|炖锅;Milk pan|奶锅;Grill pan|烤盘锅"),
        _shelf("kitchen/knives", "Knives and boards", "刀具砧板", 58, 460, 0.03, "Santoku|三德;Classic|经典", "Chef knife|主厨刀;Fruit knife|水果刀;Bread knife|面包刀;Cutting board|砧板;Knife block|刀架"),
        _shelf("kitchen/storage", "Storage", "收纳储物", 28, 180, 0.03, "Glass|玻璃;Enamel|搪瓷", "Food box set|保鲜盒套装;Spice jars|调料罐;Rice bin|米桶;Bread box|面包箱;Lunch box|便当盒"),
        _shelf("kitchen/bake", "Baking", "烘焙", 32, 260, 0.04, "Non-stick|不粘;Silicone|硅胶", "Cake tin|蛋糕模;Loaf tin|吐司模;Baking mat|烘焙垫;Measuring set|量勺套装;Piping set|裱花套装"),
        _shelf("kitchen/table", "Tableware", "餐具", 42, 380, 0.06, "Ash glaze|灰釉;White glaze|白釉", "Dinner plate set|餐盘套装;Rice bowl set|饭碗套装;Soup bowl|汤碗;Chopstick set|筷子套装;Serving dish|分餐盘"),
    )),
    Department("home", ("Home", "家居"), (
        _shelf("home/lamps", "Lamps", "灯具", 118, 780, 0.07, "Paper|纸艺;Brass|黄铜", "Desk lamp|台灯;Floor lamp|落地灯;Night light|小夜灯;Pendant|吊灯;Reading lamp|阅读灯"),
        _shelf("home/textiles", "Textiles", "布艺", 58, 420, 0.06, "Linen|亚麻;Wool|羊毛", "Throw|盖毯;Cushion cover|靠垫套;Table runner|桌旗;Curtain|窗帘;Rug|地毯"),
        _shelf("home/scent", "Scent", "香氛", 48, 260, 0.04, "Cedar|雪松;Osmanthus|桂花", "Candle|香薰蜡烛;Reed diffuser|藤条香薰;Incense|线香;Room spray|空间喷雾;Scented sachet|香囊"),
        _shelf("home/bath", "Bath", "浴室", 28, 240, 0.04, "Cotton|纯棉;Bamboo fibre|竹纤维", "Bath towel|浴巾;Face towel set|面巾套装;Bath mat|浴室地垫;Robe|浴袍;Soap dish|皂盒"),
        _shelf("home/bedding", "Bedding", "床品", 158, 980, 0.09, "Washed linen|水洗亚麻;Sateen|贡缎", "Duvet cover|被套;Sheet set|床单套装;Pillowcase pair|枕套一对;Quilt|夏凉被;Mattress pad|床垫保护垫"),
    )),
    Department("clothing", ("Clothing", "服饰"), (
        _shelf("clothing/shirts", "Shirts", "衬衫", 138, 420, 0.19, "Linen|亚麻;Oxford|牛津纺", "Loose shirt|宽松衬衫;Fitted shirt|修身衬衫;Stand-collar shirt|立领衬衫;Short-sleeve shirt|短袖衬衫;Long shirt|长款衬衫"),
        _shelf("clothing/knit", "Knitwear", "针织", 168, 560, 0.17, "Merino|美丽诺;Cotton|棉线", "Cardigan|开衫;Crewneck|圆领毛衣;Vest|针织背心;Turtleneck|高领毛衣;Scarf|围巾"),
        _shelf("clothing/trousers", "Trousers", "裤装", 158, 480, 0.20, "Wide|阔腿;Tapered|锥形", "Linen trousers|亚麻裤;Chinos|卡其裤;Lounge trousers|居家裤;Cropped trousers|九分裤;Corduroys|灯芯绒裤"),
        _shelf("clothing/outer", "Outerwear", "外套", 328, 1280, 0.18, "Quilted|夹棉;Light|轻薄", "Work jacket|工装外套;Trench|风衣;Down jacket|羽绒服;Rain jacket|雨衣外套;Wool coat|羊毛大衣"),
        _shelf("clothing/shoes", "Shoes", "鞋履", 198, 780, 0.24, "Leather|皮面;Canvas|帆布", "Slip-ons|一脚蹬;Sneakers|休闲鞋;Slippers|家居拖鞋;Ankle boots|短靴;Sandals|凉鞋"),
    )),
    Department("outdoor", ("Outdoor", "户外"), (
        _shelf("outdoor/tents", "Tents", "帐篷", 398, 1980, 0.09, "Two-person|双人;Four-person|四人", "Dome tent|圆顶帐篷;Tunnel tent|隧道帐篷;Canopy|天幕;Shelter|遮阳棚;Ultralight tent|超轻帐篷"),
        _shelf("outdoor/sleep", "Sleeping", "睡眠装备", 118, 780, 0.08, "Summer|夏季;Three-season|三季", "Sleeping bag|睡袋;Sleeping mat|防潮垫;Camp pillow|露营枕;Hammock|吊床;Bag liner|睡袋内胆"),
        _shelf("outdoor/cook", "Camp kitchen", "野炊", 68, 520, 0.06, "Titanium|钛合金;Steel|不锈钢", "Camp stove|便携炉;Pot set|野营锅具;Camp mug|野营杯;Cutlery set|餐具套装;Cool box|保温箱"),
        _shelf("outdoor/packs", "Packs", "背包", 128, 880, 0.08, "20 L|20 升;40 L|40 升", "Day pack|轻便背包;Hiking pack|登山包;Waist pack|腰包;Dry bag|防水袋;Travel duffel|旅行包"),
        _shelf("outdoor/light", "Light and tools", "照明工具", 38, 320, 0.07, "Rechargeable|充电;Compact|迷你", "Headlamp|头灯;Lantern|营地灯;Multi-tool|多功能刀;Water bottle|户外水壶;Trekking poles|登山杖"),
    )),
    Department("stationery", ("Stationery", "文具"), (
        _shelf("stationery/notebooks", "Notebooks", "笔记本", 22, 168, 0.02, "Dotted|点阵;Plain|空白", "A5 notebook|A5 笔记本;Pocket notebook|口袋本;Planner|手账本;Sketchbook|速写本;Travel journal|旅行日记"),
        _shelf("stationery/pens", "Pens", "书写笔", 18, 380, 0.02, "Black|黑色;Brass|黄铜", "Gel pen|中性笔;Fountain pen|钢笔;Brush pen|软笔;Pencil set|铅笔套装;Marker set|马克笔套装"),
        _shelf("stationery/desk", "Desk", "桌面", 38, 260, 0.03, "Oak|橡木;Felt|毛毡", "Desk tray|桌面托盘;Pen pot|笔筒;Desk mat|桌垫;Letter rack|文件架;Bookend pair|书立一对"),
        _shelf("stationery/calligraphy", "Calligraphy", "书法", 28, 320, 0.02, "Student|习字;Studio|工作室", "Brush set|毛笔套装;Ink stone|砚台;Ink stick|墨条;Xuan paper|宣纸;Copybook|字帖"),
        _shelf("stationery/gift", "Gift wrap", "礼品包装", 12, 88, 0.01, "Kraft|牛皮纸;Floral|花卉", "Wrapping paper|包装纸;Card set|贺卡套装;Ribbon|丝带;Gift box|礼盒;Sticker set|贴纸套装"),
    )),
    Department("garden", ("Garden", "园艺"), (
        _shelf("garden/pots", "Planters", "花盆", 28, 320, 0.07, "Terracotta|陶土;Concrete|水泥", "Round planter|圆花盆;Hanging planter|吊盆;Window box|窗台盆;Self-watering pot|自吸水盆;Bonsai tray|盆景盘"),
        _shelf("garden/tools", "Garden tools", "园艺工具", 32, 240, 0.04, "Ash handle|木柄;Steel|钢制", "Trowel|小铲;Pruner|修枝剪;Watering can|浇水壶;Glove pair|园艺手套;Mister|喷雾壶"),
        _shelf("garden/seeds", "Seeds and bulbs", "种子种球", 9, 68, 0.01, "Herb|香草;Flower|花卉", "Balcony mix|阳台混种;Kitchen mix|厨房混种;Bulb pack|种球包;Sprouting kit|芽苗套装;Shade mix|耐阴混种"),
        _shelf("garden/soil", "Soil and feed", "土肥", 18, 120, 0.02, "Indoor|室内;Balcony|阳台", "Potting mix|营养土;Slow feed|缓释肥;Moss|水苔;Leca|陶粒;Compost kit|堆肥套装"),
        _shelf("garden/decor", "Garden decor", "庭院装饰", 38, 380, 0.05, "Copper|紫铜;Stone|石制", "Wind chime|风铃;Bird feeder|喂鸟器;Lantern|庭院灯笼;Stepping stones|汀步石;Plant stand|花架"),
    )),
)  # fmt: skip


def _after_finish(thing: str, department: str) -> str:
    # Teas are mostly proper names; everywhere else the finish opens the name and the thing goes small.
    return thing if department == "tea" else f"{thing[0].lower()}{thing[1:]}"


def build(seed: int = 7) -> list[DemoProduct]:
    """Return the 400 products, the same for the same seed."""
    random = np.random.default_rng(seed)
    products: list[DemoProduct] = []
    shelf_number = 0
    for department_number, department in enumerate(DEPARTMENTS):
        for shelf in department.shelves:
            steps = np.linspace(0, 1, len(shelf.things))
            for position, thing in enumerate(shelf.things):
                for finish_number, finish in enumerate(shelf.finishes):
                    # Spread over the shelf's range, the second finish a fifth dearer, ending in 8 as Chinese shops do.
                    base = shelf.low + (shelf.high - shelf.low) * steps[position] ** 1.5 * (1.0 if finish_number == 0 else 1.2)
                    price = Decimal(int(base // 10) * 10 + 8)
                    index = len(products)
                    products.append(
                        DemoProduct(
                            index=index,
                            external_id=f"MM-{index + 1:04d}",
                            names={"en": f"{finish[0]} {_after_finish(thing[0], department.slug)}", "zh-hans": f"{finish[1]}{thing[1]}"},
                            department=department_number,
                            shelf=shelf_number,
                            shelf_slug=shelf.slug,
                            finish=finish_number,
                            price=price,
                            quality=float(np.clip(random.normal(0.25, 0.45), -1, 1)),
                            return_rate=shelf.return_rate,
                            is_available=bool(random.random() > 0.05),
                        )
                    )
            shelf_number += 1
    return products
