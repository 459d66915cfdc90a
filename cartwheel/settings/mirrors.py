"""Mirrors of the package index that a setting can name (index.preset)."""

# These URLs are from the mirrors' own help pages; the list contains the mirrors that the mirror
# switcher "chsrc" still lists (douban, netease and jlu are gone).
PRESETS: dict[str, str] = {
    "tuna": "https://pypi.tuna.tsinghua.edu.cn/simple",
    "bfsu": "https://mirrors.bfsu.edu.cn/pypi/web/simple",
    "ustc": "https://mirrors.ustc.edu.cn/pypi/simple",
    "nju": "https://mirror.nju.edu.cn/pypi/web/simple",
    "aliyun": "https://mirrors.aliyun.com/pypi/simple",
    "tencent": "https://mirrors.cloud.tencent.com/pypi/simple",
    "huawei": "https://mirrors.huaweicloud.com/repository/pypi/simple",
}
# Other names for them.
ALIASES = {"tsinghua": "tuna", "alibaba": "aliyun", "huaweicloud": "huawei"}
