-- phpMyAdmin SQL Dump
/*!40101 SET NAMES utf8mb4 */;
CREATE TABLE `go_log` (
  `click_id` int NOT NULL
) ENGINE=InnoDB;
INSERT INTO `go_log` (`click_id`, `user_agent`) VALUES
(1, 'a;\nINSERT INTO `go_url` VALUES (\'fmt11x\',\'https://evil.example/\',\'\',\'2024-05-01 12:00:00\',\'\',9);'),
(2, 'b');
INSERT INTO `go_url` (`clicks`, `keyword`, `url`, `title`, `timestamp`, `ip`) VALUES
(5, 'fmt11a', 'https://www.example.com/?a=(1),2;', 'It''s\nboth \\ and \'', '2024-05-01 12:00:00', '192.0.2.7'),
(0, 'fmt11b', 'https://www.example.com/b', NULL, '2024-05-01 12:00:00', '192.0.2.7');
-- the end
