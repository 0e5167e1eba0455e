// app/emoji.js: the common names of emoji, as tags have them, and the emoji that they stand for. A
// tag that is no such name stays a word.

/** Names and emoji in turn, parted by blanks. */
const TABLE = `
  grinning 😀 smiley 😃 smile 😄 grin 😁 laughing 😆 sweat_smile 😅 rofl 🤣 joy 😂
  slightly_smiling_face 🙂 upside_down_face 🙃 wink 😉 blush 😊 innocent 😇 heart_eyes 😍
  star_struck 🤩 kissing_heart 😘 yum 😋 stuck_out_tongue 😛 zany_face 🤪 money_mouth_face 🤑 hugs 🤗
  thinking 🤔 zipper_mouth_face 🤐 raised_eyebrow 🤨 neutral_face 😐 expressionless 😑 smirk 😏
  unamused 😒 roll_eyes 🙄 grimacing 😬 relieved 😌 pensive 😔 sleepy 😪 sleeping 😴 mask 😷
  face_with_thermometer 🤒 nauseated_face 🤢 vomiting_face 🤮 sneezing_face 🤧 hot_face 🥵
  cold_face 🥶 dizzy_face 😵 exploding_head 🤯 cowboy_hat_face 🤠 partying_face 🥳 sunglasses 😎
  nerd_face 🤓 monocle_face 🧐 confused 😕 worried 😟 open_mouth 😮 astonished 😲 flushed 😳
  pleading_face 🥺 fearful 😨 cold_sweat 😰 cry 😢 sob 😭 scream 😱 confounded 😖 persevere 😣
  disappointed 😞 sweat 😓 weary 😩 tired_face 😫 yawning_face 🥱 triumph 😤 rage 😡 angry 😠
  cursing_face 🤬 smiling_imp 😈 imp 👿 skull 💀 skull_and_crossbones ☠️ poop 💩 clown_face 🤡
  japanese_ogre 👹 ghost 👻 alien 👽 space_invader 👾 robot 🤖 smiley_cat 😺 see_no_evil 🙈
  hear_no_evil 🙉 speak_no_evil 🙊 love_letter 💌 cupid 💘 sparkling_heart 💖 heartbeat 💓
  broken_heart 💔 heart ❤️ orange_heart 🧡 yellow_heart 💛 green_heart 💚 blue_heart 💙
  purple_heart 💜 black_heart 🖤 white_heart 🤍 100 💯 anger 💢 boom 💥 collision 💥 dizzy 💫
  sweat_drops 💦 dash 💨 hole 🕳️ bomb 💣 speech_balloon 💬 thought_balloon 💭 zzz 💤 wave 👋
  raised_hand ✋ vulcan_salute 🖖 ok_hand 👌 v ✌️ crossed_fingers 🤞 metal 🤘 call_me_hand 🤙
  point_left 👈 point_right 👉 point_up_2 👆 point_down 👇 point_up ☝️ +1 👍 thumbsup 👍 -1 👎
  thumbsdown 👎 fist ✊ facepunch 👊 clap 👏 raised_hands 🙌 open_hands 👐 handshake 🤝 pray 🙏
  writing_hand ✍️ muscle 💪 brain 🧠 eyes 👀 eye 👁️ tongue 👅 baby 👶 boy 👦 girl 👧 man 👨 woman 👩
  older_man 👴 older_woman 👵 cop 👮 guardsman 💂‍♂️ construction_worker 👷 detective 🕵️
  health_worker 🧑‍⚕️ student 🧑‍🎓 teacher 🧑‍🏫 judge 🧑‍⚖️ farmer 🧑‍🌾 cook 🧑‍🍳 mechanic 🧑‍🔧
  scientist 🧑‍🔬 technologist 🧑‍💻 firefighter 🧑‍🚒 pilot 🧑‍✈️ astronaut 🧑‍🚀 santa 🎅 superhero 🦸
  zombie 🧟 walking 🚶 running 🏃 family 👪 busts_in_silhouette 👥 bust_in_silhouette 👤
  footprints 👣 monkey 🐒 dog 🐶 dog2 🐕 wolf 🐺 fox_face 🦊 cat 🐱 cat2 🐈 lion 🦁 tiger 🐯 horse 🐴
  unicorn 🦄 cow 🐮 pig 🐷 mouse 🐭 rat 🐀 hamster 🐹 rabbit 🐰 bear 🐻 panda_face 🐼 koala 🐨 chicken 🐔
  rooster 🐓 bird 🐦 penguin 🐧 dove 🕊️ eagle 🦅 duck 🦆 owl 🦉 frog 🐸 crocodile 🐊 turtle 🐢 lizard 🦎
  snake 🐍 dragon 🐉 whale 🐳 dolphin 🐬 fish 🐟 shark 🦈 octopus 🐙 snail 🐌 butterfly 🦋 bug 🐛 ant 🐜
  bee 🐝 honeybee 🐝 beetle 🐞 spider 🕷️ spider_web 🕸️ scorpion 🦂 mosquito 🦟 microbe 🦠
  paw_prints 🐾 bouquet 💐 cherry_blossom 🌸 rose 🌹 sunflower 🌻 tulip 🌷 seedling 🌱
  evergreen_tree 🌲 deciduous_tree 🌳 palm_tree 🌴 cactus 🌵 ear_of_rice 🌾 herb 🌿
  four_leaf_clover 🍀 maple_leaf 🍁 fallen_leaf 🍂 leaves 🍃 mushroom 🍄 grapes 🍇 melon 🍈
  watermelon 🍉 tangerine 🍊 lemon 🍋 banana 🍌 pineapple 🍍 mango 🥭 apple 🍎 green_apple 🍏 pear 🍐
  peach 🍑 cherries 🍒 strawberry 🍓 kiwi_fruit 🥝 tomato 🍅 coconut 🥥 avocado 🥑 eggplant 🍆
  potato 🥔 carrot 🥕 corn 🌽 hot_pepper 🌶️ cucumber 🥒 broccoli 🥦 garlic 🧄 onion 🧅 peanuts 🥜
  bread 🍞 croissant 🥐 pancakes 🥞 cheese 🧀 meat_on_bone 🍖 bacon 🥓 hamburger 🍔 fries 🍟 pizza 🍕
  hotdog 🌭 sandwich 🥪 taco 🌮 burrito 🌯 egg 🍳 fried_egg 🍳 popcorn 🍿 rice 🍚 ramen 🍜 spaghetti 🍝
  sushi 🍣 ice_cream 🍨 doughnut 🍩 cookie 🍪 birthday 🎂 cake 🍰 chocolate_bar 🍫 candy 🍬
  honey_pot 🍯 baby_bottle 🍼 milk_glass 🥛 coffee ☕ tea 🍵 sake 🍶 champagne 🍾 wine_glass 🍷
  cocktail 🍸 tropical_drink 🍹 beer 🍺 beers 🍻 earth_africa 🌍 earth_americas 🌎 earth_asia 🌏
  globe_with_meridians 🌐 world_map 🗺️ compass 🧭 mountain ⛰️ volcano 🌋 camping 🏕️
  beach_umbrella 🏖️ desert 🏜️ desert_island 🏝️ stadium 🏟️ building_construction 🏗️ houses 🏘️
  house 🏠 house_with_garden 🏡 office 🏢 post_office 🏣 hospital 🏥 bank 🏦 hotel 🏨
  convenience_store 🏪 school 🏫 department_store 🏬 factory 🏭 castle 🏰 wedding 💒 tokyo_tower 🗼
  statue_of_liberty 🗽 church ⛪ mosque 🕌 synagogue 🕍 fountain ⛲ tent ⛺ foggy 🌁
  night_with_stars 🌃 cityscape 🏙️ sunrise 🌅 city_sunset 🌆 bridge_at_night 🌉 carousel_horse 🎠
  ferris_wheel 🎡 roller_coaster 🎢 steam_locomotive 🚂 railway_car 🚃 bullettrain_front 🚅
  train2 🚆 metro 🚇 station 🚉 tram 🚊 bus 🚌 trolleybus 🚎 ambulance 🚑 fire_engine 🚒 police_car 🚓
  taxi 🚕 car 🚗 blue_car 🚙 truck 🚚 tractor 🚜 racing_car 🏎️ motorcycle 🏍️ motor_scooter 🛵 bike 🚲
  kick_scooter 🛴 busstop 🚏 motorway 🛣️ fuelpump ⛽ rotating_light 🚨 traffic_light 🚥
  vertical_traffic_light 🚦 stop_sign 🛑 construction 🚧 anchor ⚓ sailboat ⛵ canoe 🛶 speedboat 🚤
  ferry ⛴️ ship 🚢 airplane ✈️ flight_departure 🛫 flight_arrival 🛬 parachute 🪂 seat 💺
  helicopter 🚁 aerial_tramway 🚡 artificial_satellite 🛰️ rocket 🚀 flying_saucer 🛸
  bellhop_bell 🛎️ luggage 🧳 hourglass ⌛ hourglass_flowing_sand ⏳ watch ⌚ alarm_clock ⏰
  stopwatch ⏱️ timer_clock ⏲️ mantelpiece_clock 🕰️ clock1 🕐 clock12 🕛 new_moon 🌑 full_moon 🌕
  crescent_moon 🌙 thermometer 🌡️ sunny ☀️ star ⭐ star2 🌟 stars 🌠 milky_way 🌌 cloud ☁️
  partly_sunny ⛅ cloud_with_lightning 🌩️ sun_behind_rain_cloud 🌦️ cloud_with_rain 🌧️
  cloud_with_snow 🌨️ tornado 🌪️ fog 🌫️ wind_face 🌬️ cyclone 🌀 rainbow 🌈 umbrella ☔
  open_umbrella ☂️ zap ⚡ snowflake ❄️ snowman ⛄ comet ☄️ fire 🔥 droplet 💧 ocean 🌊
  jack_o_lantern 🎃 christmas_tree 🎄 fireworks 🎆 sparkler 🎇 firecracker 🧨 sparkles ✨ balloon 🎈
  tada 🎉 confetti_ball 🎊 ribbon 🎀 gift 🎁 tickets 🎟️ ticket 🎫 medal_military 🎖️ trophy 🏆
  medal_sports 🏅 1st_place_medal 🥇 2nd_place_medal 🥈 3rd_place_medal 🥉 soccer ⚽ baseball ⚾
  basketball 🏀 football 🏈 tennis 🎾 bowling 🎳 golf ⛳ ice_skate ⛸️ fishing_pole_and_fish 🎣 ski 🎿
  dart 🎯 8ball 🎱 video_game 🎮 joystick 🕹️ game_die 🎲 jigsaw 🧩 chess_pawn ♟️ spades ♠️
  hearts ♥️ diamonds ♦️ clubs ♣️ performing_arts 🎭 art 🎨 thread 🧵 yarn 🧶 eyeglasses 👓
  necktie 👔 shirt 👕 jeans 👖 dress 👗 kimono 👘 shoe 👞 boot 👢 crown 👑 tophat 🎩 mortar_board 🎓
  lipstick 💄 ring 💍 gem 💎 mute 🔇 speaker 🔈 sound 🔉 loud_sound 🔊 loudspeaker 📢 mega 📣
  postal_horn 📯 bell 🔔 no_bell 🔕 musical_note 🎵 notes 🎶 studio_microphone 🎙️ microphone 🎤
  headphones 🎧 radio 📻 saxophone 🎷 guitar 🎸 musical_keyboard 🎹 trumpet 🎺 violin 🎻 drum 🥁
  iphone 📱 phone ☎️ telephone ☎️ telephone_receiver 📞 pager 📟 fax 📠 battery 🔋 electric_plug 🔌
  computer 💻 desktop_computer 🖥️ printer 🖨️ keyboard ⌨️ computer_mouse 🖱️ minidisc 💽
  floppy_disk 💾 cd 💿 dvd 📀 abacus 🧮 movie_camera 🎥 film_strip 🎞️ clapper 🎬 tv 📺 camera 📷
  camera_flash 📸 video_camera 📹 vhs 📼 mag 🔍 mag_right 🔎 candle 🕯️ bulb 💡 flashlight 🔦
  lantern 🏮 notebook 📓 book 📖 open_book 📖 green_book 📗 blue_book 📘 orange_book 📙 books 📚
  ledger 📒 page_with_curl 📃 scroll 📜 page_facing_up 📄 newspaper 📰 bookmark_tabs 📑 bookmark 🔖
  label 🏷️ moneybag 💰 yen 💴 dollar 💵 euro 💶 pound 💷 money_with_wings 💸 credit_card 💳 receipt 🧾
  chart 💹 email 📧 envelope ✉️ e-mail 📧 incoming_envelope 📨 envelope_with_arrow 📩 outbox_tray 📤
  inbox_tray 📥 package 📦 mailbox 📫 mailbox_with_mail 📬 mailbox_with_no_mail 📭 postbox 📮
  ballot_box 🗳️ pencil2 ✏️ black_nib ✒️ pen 🖊️ paintbrush 🖌️ crayon 🖍️ memo 📝 pencil 📝
  briefcase 💼 file_folder 📁 open_file_folder 📂 card_index_dividers 🗂️ date 📅 calendar 📆
  spiral_notepad 🗒️ spiral_calendar 🗓️ card_index 📇 chart_with_upwards_trend 📈
  chart_with_downwards_trend 📉 bar_chart 📊 clipboard 📋 pushpin 📌 round_pushpin 📍 paperclip 📎
  paperclips 🖇️ straight_ruler 📏 triangular_ruler 📐 scissors ✂️ card_file_box 🗃️
  file_cabinet 🗄️ wastebasket 🗑️ lock 🔒 unlock 🔓 lock_with_ink_pen 🔏 closed_lock_with_key 🔐
  key 🔑 old_key 🗝️ hammer 🔨 axe 🪓 pick ⛏️ hammer_and_pick ⚒️ hammer_and_wrench 🛠️ dagger 🗡️
  crossed_swords ⚔️ gun 🔫 bow_and_arrow 🏹 shield 🛡️ wrench 🔧 nut_and_bolt 🔩 gear ⚙️ clamp 🗜️
  balance_scale ⚖️ probing_cane 🦯 link 🔗 chains ⛓️ toolbox 🧰 magnet 🧲 alembic ⚗️ test_tube 🧪
  petri_dish 🧫 dna 🧬 microscope 🔬 telescope 🔭 satellite 📡 syringe 💉 drop_of_blood 🩸 pill 💊
  adhesive_bandage 🩹 stethoscope 🩺 door 🚪 bed 🛏️ couch_and_lamp 🛋️ toilet 🚽 shower 🚿 bathtub 🛁
  razor 🪒 lotion_bottle 🧴 safety_pin 🧷 broom 🧹 basket 🧺 roll_of_paper 🧻 soap 🧼 sponge 🧽
  fire_extinguisher 🧯 shopping_cart 🛒 cigarette 🚬 coffin ⚰️ funeral_urn ⚱️ atm 🏧
  put_litter_in_its_place 🚮 potable_water 🚰 wheelchair ♿ mens 🚹 womens 🚺 restroom 🚻
  baby_symbol 🚼 wc 🚾 passport_control 🛂 customs 🛃 baggage_claim 🛄 left_luggage 🛅 warning ⚠️
  children_crossing 🚸 no_entry ⛔ no_entry_sign 🚫 no_bicycles 🚳 no_smoking 🚭 do_not_litter 🚯
  non-potable_water 🚱 no_pedestrians 🚷 no_mobile_phones 📵 underage 🔞 radioactive ☢️
  biohazard ☣️ arrow_up ⬆️ arrow_upper_right ↗️ arrow_right ➡️ arrow_lower_right ↘️
  arrow_down ⬇️ arrow_lower_left ↙️ arrow_left ⬅️ arrow_upper_left ↖️ arrow_up_down ↕️
  left_right_arrow ↔️ leftwards_arrow_with_hook ↩️ arrow_right_hook ↪️ arrow_heading_up ⤴️
  arrow_heading_down ⤵️ arrows_clockwise 🔃 arrows_counterclockwise 🔄 back 🔙 end 🔚 on 🔛 soon 🔜
  top 🔝 atom_symbol ⚛️ om 🕉️ star_of_david ✡️ wheel_of_dharma ☸️ yin_yang ☯️ latin_cross ✝️
  orthodox_cross ☦️ star_and_crescent ☪️ peace_symbol ☮️ menorah 🕎 aries ♈ taurus ♉ gemini ♊
  cancer ♋ leo ♌ virgo ♍ libra ♎ scorpius ♏ sagittarius ♐ capricorn ♑ aquarius ♒ pisces ♓
  twisted_rightwards_arrows 🔀 repeat 🔁 repeat_one 🔂 arrow_forward ▶️ fast_forward ⏩
  next_track_button ⏭️ play_or_pause_button ⏯️ arrow_backward ◀️ rewind ⏪
  previous_track_button ⏮️ arrow_up_small 🔼 arrow_double_up ⏫ arrow_down_small 🔽
  arrow_double_down ⏬ pause_button ⏸️ stop_button ⏹️ record_button ⏺️ eject_button ⏏️ cinema 🎦
  low_brightness 🔅 high_brightness 🔆 signal_strength 📶 vibration_mode 📳 mobile_phone_off 📴
  female_sign ♀️ male_sign ♂️ medical_symbol ⚕️ infinity ♾️ recycle ♻️ fleur_de_lis ⚜️
  trident 🔱 name_badge 📛 beginner 🔰 o ⭕ white_check_mark ✅ ballot_box_with_check ☑️
  heavy_check_mark ✔️ x ❌ negative_squared_cross_mark ❎ heavy_plus_sign ➕ heavy_minus_sign ➖
  heavy_division_sign ➗ curly_loop ➰ loop ➿ eight_spoked_asterisk ✳️ sparkle ❇️ bangbang ‼️
  interrobang ⁉️ question ❓ grey_question ❔ grey_exclamation ❕ exclamation ❗
  heavy_exclamation_mark ❗ wavy_dash 〰️ copyright ©️ registered ®️ tm ™️ hash #️⃣ zero 0️⃣
  one 1️⃣ two 2️⃣ three 3️⃣ four 4️⃣ five 5️⃣ six 6️⃣ seven 7️⃣ eight 8️⃣ nine 9️⃣
  keycap_ten 🔟 capital_abcd 🔠 abcd 🔡 1234 🔢 symbols 🔣 abc 🔤 a 🅰️ ab 🆎 b 🅱️ cl 🆑 cool 🆒 free 🆓
  information_source ℹ️ id 🆔 m Ⓜ️ new 🆕 ng 🆖 o2 🅾️ ok 🆗 parking 🅿️ sos 🆘 up 🆙 vs 🆚
  red_circle 🔴 orange_circle 🟠 yellow_circle 🟡 green_circle 🟢 large_blue_circle 🔵
  purple_circle 🟣 brown_circle 🟤 black_circle ⚫ white_circle ⚪ red_square 🟥 orange_square 🟧
  yellow_square 🟨 green_square 🟩 blue_square 🟦 purple_square 🟪 brown_square 🟫
  black_large_square ⬛ white_large_square ⬜ large_orange_diamond 🔶 large_blue_diamond 🔷
  small_orange_diamond 🔸 small_blue_diamond 🔹 small_red_triangle 🔺 small_red_triangle_down 🔻
  radio_button 🔘 checkered_flag 🏁 triangular_flag_on_post 🚩 crossed_flags 🎌 black_flag 🏴
  white_flag 🏳️ rainbow_flag 🏳️‍🌈 pirate_flag 🏴‍☠️ cn 🇨🇳 de 🇩🇪 es 🇪🇸 fr 🇫🇷 gb 🇬🇧 uk 🇬🇧 it 🇮🇹
  jp 🇯🇵 kr 🇰🇷 ru 🇷🇺 us 🇺🇸
`;

const BY_NAME = new Map(
  Array.from(TABLE.matchAll(/(\S+) (\S+)/g), ([, name, emoji]) => [name, emoji]),
);

/**
 * The emoji of a tag.
 * @param {string} tag
 * @returns {string|undefined} undefined if it is no name of one
 */
export function emojiOf(tag) {
  return BY_NAME.get(tag.replace(/^:(.+):$/, "$1").toLowerCase());
}
