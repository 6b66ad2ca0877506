"""Names and places of the demo shop's people. All fictional combinations; addresses end in .example."""

PINYIN = {
    "王": "wang", "李": "li", "张": "zhang", "刘": "liu", "陈": "chen", "杨": "yang", "赵": "zhao", "黄": "huang", "周": "zhou", "吴": "wu",
    "徐": "xu", "孙": "sun", "胡": "hu", "朱": "zhu", "高": "gao", "林": "lin", "何": "he", "郭": "guo", "马": "ma", "罗": "luo",
    "梁": "liang", "宋": "song", "郑": "zheng", "谢": "xie", "韩": "han", "唐": "tang", "冯": "feng", "董": "dong", "萧": "xiao", "程": "cheng",
}  # fmt: skip
HAN_FAMILY = tuple(PINYIN)
HAN_GIVEN = {
    "female": ("雨桐", "欣怡", "梓涵", "诗涵", "佳怡", "雅婷", "静", "丽华", "思琪", "晓雯", "若曦", "婉清", "海燕", "文静", "慧敏", "小满", "青青", "月", "秋霞", "嘉宁"),
    "male": ("浩然", "子轩", "宇航", "志强", "建国", "明远", "伟", "磊", "俊杰", "天宇", "博文", "家豪", "晨", "思远", "立新", "少华", "一鸣", "凯", "振东", "乐山"),
}
ENGLISH_GIVEN = {
    "female": ("Emma", "Olivia", "Amelia", "Isla", "Sophie", "Grace", "Freya", "Alice", "Clara", "Nora", "Hannah", "Lucy", "Maya", "Ruth", "Ingrid", "Lotte", "Marta", "Priya", "Zoe", "Elena"),
    "male": ("Oliver", "Jack", "Noah", "Henry", "Theo", "Leo", "Arthur", "Oscar", "Max", "Felix", "Jonas", "Daan", "Lukas", "Samir", "Ben", "Adam", "Hugo", "Finn", "Ivan", "Tom"),
}
ENGLISH_FAMILY = (
    "Smith", "Taylor", "Brown", "Walker", "Hughes", "Green", "Hall", "Wood", "Clarke", "Baker", "Novak", "Meyer", "Jansen", "de Vries", "Schmidt", "Fischer", "Garcia", "Costa", "Singh", "Khan", "Lewis", "Young",
    "King", "Wright", "Scott", "Morris", "Ward", "Cooper", "Bell", "Ross",
)  # fmt: skip
# (country, city, time zone)
CITIES = {
    "zh": (
        ("China", "杭州", "Asia/Shanghai"), ("China", "上海", "Asia/Shanghai"), ("China", "北京", "Asia/Shanghai"), ("China", "深圳", "Asia/Shanghai"), ("China", "成都", "Asia/Shanghai"),
        ("China", "广州", "Asia/Shanghai"), ("China", "武汉", "Asia/Shanghai"), ("China", "南京", "Asia/Shanghai"), ("China", "西安", "Asia/Shanghai"), ("China", "厦门", "Asia/Shanghai"),
    ),
    "en": (
        ("United Kingdom", "London", "Europe/London"), ("United Kingdom", "Manchester", "Europe/London"), ("Netherlands", "Rotterdam", "Europe/Amsterdam"), ("Germany", "Berlin", "Europe/Berlin"),
        ("Germany", "Hamburg", "Europe/Berlin"), ("United States", "New York", "America/New_York"), ("United States", "Seattle", "America/Los_Angeles"), ("Singapore", "Singapore", "Asia/Singapore"), ("Ireland", "Dublin", "Europe/Dublin"),
    ),
}  # fmt: skip
