"""Texts that ask for nothing that music can do: a reader must understand nothing. None of their words is trained on as such."""

ENGLISH = """the stock market closed
quarterly report
John Smith lives in Boston
my cousin works at the post office
please renew your subscription
the committee will vote on Wednesday
three kilograms of rice
open the window and feed the parrot
the train to Leeds leaves from platform nine
how to install a washing machine
a list of European capitals
the photosynthesis of green algae
interest rates and inflation
she studied economics in Vienna
asdf qwer zxcv
xkjhgf
lorem ipsum dolor sit amet
reset your password
the square root of two
we need more toner for the copier
Elizabeth
Fernando Oliveira
Massachusetts
the warranty covers defects
a chapter about trade unions
polyester and nylon
an e-mail attachment
the capital of Mongolia
he ordered a pizza with mushrooms
the results of the blood test
compile the kernel with debug symbols
third cousin once removed
purple
seventeen
veterinarian
a pair of scissors
the constitution of the republic
a hotel reservation for two adults
quadratic formula
oxygen and hydrogen""".splitlines()

CHINESE = """股票收盘
季度报告
张三住在北京
我表哥在邮局上班
请续订会员
委员会周三投票
三公斤大米
欧洲国家首都列表
绿藻的光合作用
利率与通货膨胀
她在维也纳学经济
重置密码
二的平方根
打印机没墨了
王小明
马萨诸塞州
保修范围
关于工会的一章
涤纶和尼龙
邮件附件
蒙古的首都
他点了一份蘑菇披萨
验血结果
编译内核
紫色
十七
兽医
一把剪刀
共和国宪法
预订酒店房间
二次方程
氧气和氢气
去超市买酱油
身份证丢了怎么办
上海地铁二号线
公司年会通知
办理营业执照
孩子的数学作业
天气预报说明天多云
电脑死机了""".splitlines()
