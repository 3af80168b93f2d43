"""Texts that ask for nothing that music can do: a reader must understand nothing. The text head has learned
none of their words as one for other things (`head_examples`)."""

ENGLISH = """the stock market closed
quarterly figures
John Smith lives in Boston
my cousin works at the post office
please extend your membership
the delegates will vote on Wednesday
three kilograms of rice
open the window and feed the parrot
the train to Leeds leaves at ten
how to install a washing machine
some European capitals
the photosynthesis of green algae
interest rates and inflation
she studied economics in Vienna
asdf qwer zxcv
xkjhgf
lorem ipsum dolor sit amet
reset your username
the cube root of two
we need more toner for the copier
Elizabeth
Fernando Oliveira
Massachusetts
the warranty covers defects
an essay about trade unions
polyester and nylon
an e-mail attachment
the capital of Mongolia
he ordered a pizza with mushrooms
the results of the blood test
compile the kernel with debug symbols
third cousin once removed
mauve
seventeen
veterinarian
a pair of scissors
the constitution of the republic
a hotel reservation for two adults
quadratic formula
helium and hydrogen""".splitlines()

CHINESE = """楼市行情
年度汇总
张三住在北京
我表哥在邮局上班
请续订会员
代表们周三表决
三公斤大米
欧洲国家首都列表
绿藻的光合作用
利率与通货膨胀
她在维也纳学经济
重设账号
二的平方根
扫描仪没电了
赵建国
马萨诸塞州
保修范围
关于工会的一章
涤纶和尼龙
传真附件
蒙古的首都
他点了一份蘑菇披萨
验血结果
编译内核
浅褐
十七
兽医
一把剪刀
共和国宪法
预订酒店房间
椭圆的焦点
氦气和氢气
去便利店买酱油
居住证丢了怎么办
上海地铁二号线
公司年会通知
办理营业执照
孩子的暑假计划
天气预报说周五多云
电脑死机了""".splitlines()
